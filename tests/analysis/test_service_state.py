"""The state of a service, and what is left to judge of one on its way out."""

from __future__ import annotations

import pytest

from exporter import analysis
from exporter.model import Known
from tests.analysis.lab import DENIED, NOW, diagnosis
from tests.analysis.pair import pair


@pytest.mark.parametrize(
    ("state", "word", "status"),
    [
        ("available", "Available", "pass"),
        ("pending", "Pending", "warn"),
        ("failed", "Failed", "fail"),
        ("deleting", "Deleting", "not_applicable"),
        ("deleted", "Deleted", "not_applicable"),
        ("unknown", "Paused", "unknown"),
    ],
)
def test_each_state_has_its_status(state: str, word: str, status: str) -> None:
    """A state is judged by the table, and a new one of AWS's is named as AWS names it."""
    estate = pair(state=state, aws_state=word)
    found = estate.of_service("service_state")
    assert (found.status, bool(found.fix)) == (status, status == "fail")
    assert status != "unknown" or word in found.summary


def test_a_failed_service_shows_on_its_consumers_endpoint() -> None:
    """The consumer's own side is right: the provider's state is its root cause, and whose it is."""
    estate = pair(state="failed", aws_state="Failed")
    found = diagnosis(estate.endpoint, estate.consumer, estate.provider).root_cause
    assert found is not None
    assert found.check == "service_state"
    assert estate.provider.scope.account in (found.fix or "")


def test_nothing_is_judged_of_a_service_that_is_being_deleted() -> None:
    """No check concerns it, whatever is missing behind it."""
    estate = pair(state="deleting")
    estate.listen()
    found = diagnosis(estate.service, estate.consumer, estate.provider)
    assert {f.status for f in found.checks} == {"not_applicable"}
    assert found.verdict == "pass"


def test_the_state_of_an_old_listing_is_unknown() -> None:
    """What was available when the listing last succeeded may be anything now."""
    estate = pair()
    known = Known({estate.service.id: estate.service}, NOW - 3600)
    estate.provider.instead["services"] = type(DENIED)(DENIED.reason, DENIED.outcome, known)
    found = estate.of_service("service_state")
    assert found.status == "unknown"
    assert "AccessDenied" in found.summary


def test_all_is_well() -> None:
    """Of a healthy pair no check of the service finds anything, and the endpoint shows none."""
    estate = pair()
    names = [check.name for check in analysis.SERVICE_CHECKS]
    found = diagnosis(estate.service, estate.consumer, estate.provider)
    assert [f.check for f in found.checks] == names
    assert [f.check for f in found.checks if f.status in ("fail", "unknown")] == []
    assert [f for n in names[:7] if (f := estate.on_endpoint(n))] == []
