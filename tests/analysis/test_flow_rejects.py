"""Rejected records of the last quarter of an hour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model import Finding, FlowLog, Traffic
from tests.analysis.lab import DENIED, finding, rule
from tests.analysis.net import STRANGER, Net, net, reject


def judged(estate: Net) -> Finding:
    return finding("flow_rejects", estate.endpoint, estate.lab)


CLOSED = ("10.0.9.0/24",)
OPEN = ("10.0.0.0/16",)


@pytest.mark.parametrize(
    ("rules", "row", "status"),
    [
        (CLOSED, reject(), "fail"),
        (CLOSED, reject(ago=899), "fail"),
        (CLOSED, reject(ago=901), "pass"),
        (CLOSED, reject(packets=""), "fail"),
        (CLOSED, reject(packets="other"), "pass"),
        (CLOSED, reject(port=8443), "pass"),
        (CLOSED, reject(STRANGER), "pass"),
        (OPEN, reject(), "warn"),
        (OPEN, reject(packets="other"), "pass"),
        (OPEN, reject(packets="other", direction="from_endpoint"), "pass"),
    ],
)
def test_what_was_rejected(rules: tuple[str], row: object, status: str) -> None:
    """A connection of a known client at a served port; not what is late, old or a stranger's."""
    estate = net(rules)
    estate.saw(row)  # type: ignore[arg-type]
    assert judged(estate).status == status


@pytest.mark.parametrize("row", [reject(port=22), reject(port=0, protocol=1, packets="")])
def test_what_nobody_is_known_to_serve_is_no_fault(row: object) -> None:
    """A stray try, or a ping, at an endpoint whose ports are not known."""
    estate = net(service="com.amazonaws.vpce.eu-west-1.vpce-svc-00000000000000abc")
    estate.saw(row)  # type: ignore[arg-type]
    assert judged(estate).status == "pass"


def test_strangers_are_told_and_nothing_is_opened_to_them() -> None:
    """A port scan is evidence, with the advice not to open."""
    estate = net()
    estate.saw(*(reject(STRANGER, port) for port in range(440, 446)))
    found = judged(estate)
    assert (found.status, found.fix) == ("pass", None)
    assert "unknown source: do not open" in found.evidence[0]


def test_what_rejects_though_nothing_is_seen_to_do_so_fails() -> None:
    """Where the rules that decide cannot be told, the record alone says that it is broken."""
    estate = net(("10.9.9.9/32",))
    estate.lab.drop_rules(estate.group, egress=False)
    other = estate.lab.add_group(estate.vpc)
    estate.lab.add_rule(rule(estate.group.id, other.id))
    del estate.lab.listings["interfaces"][estate.client.id]
    estate.saw(reject())
    assert judged(estate).status == "fail"


def test_where_no_flow_log_tells_nothing_is_judged() -> None:
    """Without REJECT records the check does not apply; where they cannot be read it is unknown."""
    estate = net()
    assert judged(estate).status == "not_applicable"
    estate.lab.instead["flow_logs"] = DENIED
    assert judged(estate).status == "unknown"
    estate = net()
    flow_log = FlowLog("fl-1", estate.vpc.id, "ALL", "s3", "arn:aws:s3:::example", "")
    estate.lab.traffic[estate.endpoint.id] = Traffic(covering=(flow_log,))
    estate.lab.blind["flow_logs"] = "AccessDenied"
    assert judged(estate).status == "unknown"


def test_the_collector_may_be_off() -> None:
    """Then the check does not apply, and says why."""
    estate = net()
    estate.saw(reject())
    found = finding("flow_rejects", estate.endpoint, estate.lab, off=["flow_logs"])
    assert found.status == "not_applicable"
    assert "flow_logs is switched off" in found.summary


def test_the_root_cause_comes_first() -> None:
    """What rejects is the cause; that connections are rejected follows from it."""
    from tests.analysis.lab import diagnosis

    estate = net(CLOSED)
    estate.saw(reject(), replace(reject(), packets="other"))
    found = diagnosis(estate.endpoint, estate.lab)
    failing = [f.check for f in found.checks if f.status == "fail"]
    assert failing == ["security_group", "flow_rejects"]
    assert found.root_cause is not None
    assert found.root_cause.check == "security_group"
