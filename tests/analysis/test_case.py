"""What every check has in common: types, switches, what cannot be seen, and bugs."""

from __future__ import annotations

import pytest

from exporter import analysis
from exporter.analysis.case import Check, EndpointCase, World
from exporter.analysis.judged import Judged, Unseen, passed
from tests.analysis.lab import facts, finding
from tests.analysis.net import net


def case() -> EndpointCase:
    estate = net()
    found = World(facts(estate.lab)).endpoint(estate.endpoint.id)
    assert found is not None
    return found


def broken(_: EndpointCase) -> Judged:
    raise IndexError("nothing there")


def blind(_: EndpointCase) -> Judged:
    raise Unseen("routes: denied")


@pytest.mark.parametrize(
    ("check", "status", "summary"),
    [
        (Check("a", lambda _: passed("Well.")), "pass", "Well."),
        (Check("a", blind), "unknown", "Cannot be judged: routes: denied."),
        (Check("a", broken), "unknown", "this check broke (IndexError: nothing there)"),
        (Check("a", broken, frozenset({"Gateway"})), "not_applicable", "the type Interface"),
    ],
)
def test_a_check_always_says_something(
    check: Check[EndpointCase], status: str, summary: str
) -> None:
    """What could not be seen is unknown, and so is what breaks: no check ends the daemon."""
    found = check(case())
    assert found.status == status
    assert summary in found.summary


def test_an_available_endpoint_has_interfaces() -> None:
    """One of which AWS names none is not taken for one that everybody reaches."""
    estate = net()
    estate.lab.change("endpoints", estate.endpoint, interface_ids=())
    for check in ("security_group", "network_acl", "route"):
        assert finding(check, estate.endpoint, estate.lab).status == "unknown", check


def test_evidence_that_breaks_takes_no_verdict_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who changed what is beside the verdict: a bug there leaves the findings as they are."""

    def broken(*_: object) -> None:
        raise ValueError("year 0 is out of range")

    monkeypatch.setattr(analysis, "with_changes", broken)
    estate = net()
    assert finding("endpoint_state", estate.endpoint, estate.lab).status == "pass"
