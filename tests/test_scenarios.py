"""Every scenario of the organisation is diagnosed as it was planted; what is well passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from exporter.simulator.organisation import organisation
from exporter.simulator.records import STRANGER
from exporter.simulator.state import Scenario, World

Json = Any
WORLD: World = organisation()
SCENARIOS: Mapping[str, Scenario] = WORLD.scenarios


@pytest.fixture(scope="module")
def told() -> Mapping[str, Json]:
    """What one run of `diagnose` says of the organisation, by id; its traffic has begun."""
    ended = subprocess.run(  # our own command
        [sys.executable, "-m", "exporter", "diagnose", "--demo", "--output", "json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COVERAGE_PROCESS_START": ""},
    )
    assert ended.returncode == 1, ended.stderr
    return {result["id"]: result for result in json.loads(ended.stdout)["results"]}


def of(told: Mapping[str, Json], name: str) -> Json:
    return told[SCENARIOS[name].id]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_planted_cause_is_named_first(told: Mapping[str, Json], name: str) -> None:
    """A fault is the root cause, a warning or what is unknown is told, and all else passes."""
    scenario, found = SCENARIOS[name], of(told, name)
    statuses = {(c["check"], c["status"]) for c in found["checks"]}
    cause = found["root_cause"] and found["root_cause"]["check"]
    if scenario.status == "fail":
        assert cause == scenario.check, found["root_cause"]
        return
    assert cause is None
    assert found["verdict"] == ("unknown" if scenario.status == "unknown" else "pass"), statuses
    if scenario.check:
        assert (scenario.check, scenario.status) in statuses
    else:
        # Queries that AWS bills are not asked by a single run: it says so.
        far = {("flow_log_coverage", "warn")} if found["region"] == "us-east-1" else set()
        assert {s for s in statuses if s[1] in ("warn", "unknown")} <= far


def group_of(name: str) -> str:
    """The group of an endpoint's interfaces."""
    (group,) = WORLD.row("VpcEndpoints", "VpcEndpointId", SCENARIOS[name].id)["Groups"]
    return str(group["GroupId"])


def group_called(name: str) -> str:
    return str(WORLD.row("SecurityGroups", "GroupName", name)["GroupId"])


def arn(kind: str, name: str) -> Callable[[str], bool]:
    return lambda text: f":{kind}/" in text and f"/{name}/" in text


# The first resource, and what the evidence says: the rule, its absence, or AWS's own field.
CAUSES: dict[str, tuple[str | Callable[[str], bool], str]] = {
    "awaiting-acceptance": (SCENARIOS["awaiting-acceptance"].id, "State pendingAcceptance"),
    "rejected": (SCENARIOS["rejected"].id, "State rejected"),
    "failed": (SCENARIOS["failed"].id, "InsufficientFreeAddressesInSubnet"),
    "expired": (SCENARIOS["expired"].id, "State expired"),
    "stuck-pending": (SCENARIOS["stuck-pending"].id, "State pending"),
    "dns-hostnames-off": (lambda r: r.startswith("vpc-"), "enableDnsHostnames false"),
    "private-dns-off-no-internet": (
        SCENARIOS["private-dns-off-no-internet"].id,
        "PrivateDnsEnabled false",
    ),
    "foreign-answer": (SCENARIOS["foreign-answer"].id, "10.250.0.10"),
    "names-lost": (SCENARIOS["names-lost"].id, "NXDOMAIN"),
    "sg-port-missing": (group_of("sg-port-missing"), "tcp 8443 from 10."),
    "sg-other-group": (group_of("sg-other-group"), f"from {group_called('batch-clients')}"),
    "sg-toggled": (group_of("sg-toggled"), "no inbound rule at all"),
    "client-egress-closed": (group_called("egress-clients"), "tcp 8443 to 0.0.0.0/0"),
    "policy-denies-all": (SCENARIOS["policy-denies-all"].id, '"Effect": "Deny"'),
    "nacl-inbound": (
        lambda r: r.startswith("acl-"),
        "inbound rule 90 of acl-",
    ),
    "nacl-return": (lambda r: r.startswith("acl-"), "outbound rule * of acl-"),
    "gateway-no-route": (lambda r: r.startswith("rtb-"), "-> local active"),
    "gateway-blackhole": (lambda r: r.startswith("rtb-"), "state blackhole"),
    "gateway-egress-closed": (group_called("s3-egress-clients"), "no rule of sg-"),
    "gwlb-blackhole": (lambda r: r.startswith("rtb-"), "state blackhole"),
    "zone-mismatch": (SCENARIOS["zone-mismatch"].id, "euw1-az1"),
    "private-dns-failed": (SCENARIOS["private-dns-failed"].id, "State failed"),
    "service-failed": (SCENARIOS["service-failed"].id, "ServiceState Failed"),
    "no-listener": (arn("loadbalancer/net", "no-listener"), "DescribeListeners"),
    "wrong-listener": (arn("loadbalancer/net", "wrong-listener"), "TCP 8443"),
    "all-unhealthy": (arn("targetgroup", "all-unhealthy"), "Target.FailedHealthChecks"),
    "nlb-closed": (lambda r: r.startswith("sg-"), "lets tcp 443 in from 10."),
    "target-closed": (group_called("target-closed-targets"), "traffic port tcp 443"),
}
CAUSES |= {
    f"to-{name}": CAUSES[name]
    for name in ("no-listener", "wrong-listener", "all-unhealthy", "nlb-closed", "target-closed")
}


def test_every_fault_has_its_cause() -> None:
    """No planted fault is left out of the table."""
    assert set(CAUSES) == {name for name, s in SCENARIOS.items() if s.status == "fail"}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_named_with_its_resource_and_rule(told: Mapping[str, Json], name: str) -> None:
    """The deciding resource comes first, the evidence has the rule, and there is a remedy."""
    wanted, evidence = CAUSES[name]
    cause = of(told, name)["root_cause"]
    first = cause["resources"][0]
    assert first == wanted if isinstance(wanted, str) else wanted(first)
    assert evidence in "\n".join(cause["evidence"])
    assert cause["fix"]


def test_a_port_scan_yields_no_advice_to_open(told: Mapping[str, Json]) -> None:
    """A stranger is told as one, and no fix of any endpoint lets it or everybody in."""
    found = of(told, "scanned")
    (rejects,) = [c for c in found["checks"] if c["check"] == "flow_rejects"]
    assert f"{STRANGER}, tcp 443: " in str(rejects["evidence"])
    assert "unknown source: do not open" in str(rejects["evidence"])
    assert [c["fix"] for c in found["checks"] if c["fix"]] == []
    openings = [
        line
        for result in told.values()
        for check in result["checks"]
        for line in (check["fix"] or "").splitlines()
        if "authorize" in line or "acl-entry" in line
    ]
    assert openings
    assert not [line for line in openings if STRANGER in line or "0.0.0.0/0" in line]
