"""What is remembered of changes, each once; and which times are still to be read."""

from __future__ import annotations

import pytest

from exporter import trail as module
from exporter.trail import KEEP, OVERLAP, Trail
from tests.aws.cloudtrail import NOW, SCOPE, change


def spans(trail: Trail) -> list[tuple[float, float]]:
    return list(trail.recorded().unread)


def test_a_change_counts_once() -> None:
    """Told twice, in one pass or another, it is one; the newest is the first."""
    trail = Trail(SCOPE, NOW)
    old, new = change(id_="a", at=NOW + 1), change(id_="b", at=NOW + 2)
    assert trail.take([new, old, new], NOW + 60)
    assert not trail.take([old], NOW + 90)
    assert trail.recorded().changes == (new, old)
    assert trail.recorded().counts == {("RevokeSecurityGroupIngress", "ok"): 2}


def test_history_is_shown_and_not_counted() -> None:
    """What happened before the exporter began has its series, at 0; times are whole seconds."""
    trail = Trail(SCOPE, NOW + 0.9)
    trail.take([change(at=NOW - 60, outcome="denied")], NOW + 1)
    trail.take([change(id_="now", at=NOW)], NOW + 1)
    assert trail.recorded().counts == {
        ("RevokeSecurityGroupIngress", "denied"): 0,
        ("RevokeSecurityGroupIngress", "ok"): 1,
    }


def test_it_remembers_for_a_day() -> None:
    """What is older is gone, and cannot come back; nor can what is of a time to come."""
    trail = Trail(SCOPE, NOW)
    trail.take([change(at=NOW)], NOW + 1)
    assert not trail.take([change(id_="late", at=NOW - KEEP - 60)], NOW)
    assert not trail.take([change(id_="early", at=NOW + 3600)], NOW)
    later = NOW + KEEP + 1
    assert not trail.take([change(at=NOW)], later)
    assert trail.recorded().changes == ()
    assert sum(trail.recorded().counts.values()) == 1


def test_it_is_bounded_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are shown, all are counted; what was forgotten is not counted again."""
    monkeypatch.setattr(module, "_SHOWN", 10)
    monkeypatch.setattr(module, "_KNOWN", 50)
    trail = Trail(SCOPE, NOW)
    every = [change(id_=f"e{i:03}", at=NOW + i) for i in range(200)]
    for first in range(0, 200, 20):
        trail.take(every[first : first + 20], NOW + 300)
    trail.take(every, NOW + 300)
    assert [c.id for c in trail.recorded().changes] == [f"e{i:03}" for i in range(199, 189, -1)]
    assert sum(trail.recorded().counts.values()) == 200


def test_the_first_pass_reads_a_day_back_then_half_an_hour() -> None:
    """Each pass reads half an hour again, for what came late."""
    trail = Trail(SCOPE, NOW)
    (first,) = trail.windows(NOW)
    assert (first.begin, first.end) == (NOW - KEEP, NOW)
    trail.done(first)
    (second,) = trail.windows(NOW + 300)
    assert (second.begin, second.end) == (NOW - OVERLAP, NOW + 300)
    assert trail.behind  # until it is read
    trail.done(second)
    assert trail.behind is None


def test_what_was_not_read_stays_unread() -> None:
    """A window that was read in part is gone on with, after what is new."""
    trail = Trail(SCOPE, NOW)
    (first,) = trail.windows(NOW)
    trail.reached(first, NOW - 7200)
    assert trail.behind is None  # what is left is history
    newest, left = trail.windows(NOW + 300)
    assert (newest.begin, newest.end) == (NOW - OVERLAP, NOW + 300)
    assert (left.begin, left.end) == (NOW - KEEP + 300, NOW - 7200)
    trail.done(newest)
    assert spans(trail) == [(NOW - KEEP + 300, NOW - 7200)]


def test_a_pass_that_failed_is_made_good() -> None:
    """The next pass begins where the last one that read something ended."""
    trail = Trail(SCOPE, NOW)
    (first,) = trail.windows(NOW)
    trail.done(first)
    for minutes in (5, 60, 120):
        (window,) = trail.windows(NOW + 60 * minutes)
        assert (window.begin, window.end) == (NOW - OVERLAP, NOW + 60 * minutes)
    trail.reached(window, NOW + 600)
    assert trail.behind
    newest, left = trail.windows(NOW + 7500)
    assert (newest.begin, newest.end) == (NOW + 7200 - OVERLAP, NOW + 7500)
    assert (left.begin, left.end) == (NOW - OVERLAP, NOW + 600)


def test_what_is_too_old_is_not_asked_for_any_more() -> None:
    """A window that was left for a day is dropped."""
    trail = Trail(SCOPE, NOW)
    (first,) = trail.windows(NOW)
    trail.reached(first, NOW - 7200)
    (only,) = trail.windows(NOW + KEEP)
    assert only.begin == NOW
