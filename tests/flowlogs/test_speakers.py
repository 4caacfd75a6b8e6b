"""Who speaks since when: cuts are one instant, and what flickers does not cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.flowlogs.attribute import Index, index
from exporter.flowlogs.judge import Choices
from exporter.flowlogs.speakers import decide, settled
from exporter.model import FlowLog, Known
from exporter.store import Store
from tests.flowlogs.test_attribute import BASE, RICH, SCOPE, inventory

A, B = BASE, replace(BASE, id="fl-6")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of its own for each test."""
    opened = Store(tmp_path)
    yield opened
    opened.close()


def listed(when: float, *flow_logs: FlowLog) -> Index:
    found = inventory(*flow_logs)
    assert isinstance(found.interfaces, Known)
    found = replace(found, interfaces=Known(found.interfaces.value, when))
    made = index(
        replace(
            found,
            endpoints=Known(found.endpoints.value, when),  # type: ignore[union-attr]  # it is known
            flow_logs=Known({f.id: f for f in flow_logs}, when),
        )
    )
    assert made
    return made


def decided(
    store: Store,
    when: float,
    *flow_logs: FlowLog,
    names: Mapping[str, str] | None = None,
    reached: Mapping[str, float] | None = None,
    unread: tuple[str, ...] = (),
) -> Choices:
    speaker_of = {f.id: f.id for f in flow_logs} | dict(names or {})
    return decide(store, SCOPE, listed(when, *flow_logs), speaker_of, reached or {}, unread)


def of(choices: Choices, resource: str = "vpc-1") -> list[tuple[float, str]]:
    assert choices[resource, "REJECT"] == choices[resource, "ACCEPT"]
    return list(choices[resource, "REJECT"])


def failing(flow_log: FlowLog) -> FlowLog:
    return replace(flow_log, delivery_status="FAILED")


def test_the_first_holds_for_ever_back(store: Store) -> None:
    """The first choice has no beginning, and is the same at the next pass and after a restart."""
    first = decided(store, 100, A)
    assert of(first) == of(first, "subnet-1") == [(0.0, "fl-5")]
    assert decided(store, 160, A) == first
    assert store.choices(SCOPE) == first


def test_a_flow_log_is_replaced(store: Store) -> None:
    """From the moment of the index on another one speaks; before that the old one does."""
    decided(store, 100, A)
    assert of(decided(store, 160, B)) == [(160.0, "fl-6"), (0.0, "fl-5")]
    assert of(decided(store, 220, B), "subnet-2") == [(160.0, "fl-6"), (0.0, "fl-5")]


def test_a_better_one_takes_over_once(store: Store) -> None:
    """One that is better takes over when it appears; nothing goes back while it is there."""
    better = replace(B, format=RICH)
    decided(store, 100, A)
    for when in (160, 220, 280):
        assert of(decided(store, when, A, better)) == [(160.0, "fl-6"), (0.0, "fl-5")]


def test_all_flow_logs_go(store: Store) -> None:
    """Who spoke last is remembered while there is none: late records are still its."""
    decided(store, 100, A)
    assert of(decided(store, 160)) == [(0.0, "fl-5")]
    assert of(decided(store, 220, B)) == [(220.0, "fl-6"), (0.0, "fl-5")]


def test_delivery_that_flickers(store: Store) -> None:
    """A failure cuts once: one that delivers again does not come back until the other one fails."""
    decided(store, 100, A, B)
    for when, flow_logs in enumerate(
        [(failing(A), B), (A, B), (failing(A), B), (B, A), (A, B)] * 3, 2
    ):
        found = of(decided(store, when * 100, *flow_logs))
        assert found == [(200.0, "fl-6"), (0.0, "fl-5")]
    assert of(decided(store, 5000, A, failing(B)))[0] == (5000.0, "fl-5")
    for when in (5100, 5200, 5300):
        assert of(decided(store, when, failing(A), failing(B)))[0] == (5000.0, "fl-5")
        assert of(decided(store, when + 50, A, failing(B)))[0] == (5000.0, "fl-5")


def test_one_that_nothing_reads_does_not_stay(store: Store) -> None:
    """One that can no longer be read goes, though it delivers, and the other has spoken before."""
    decided(store, 100, A, B)
    decided(store, 200, failing(A), B)
    found = decided(store, 300, A, B, unread=("fl-6",))
    assert of(found)[0] == (300.0, "fl-5")


def test_an_interface_gets_its_own(store: Store) -> None:
    """Its history until then is its subnet's; those of the others are not touched."""
    own = replace(B, resource_id="eni-1", format=RICH)
    decided(store, 100, A)
    found = decided(store, 160, A, own)
    assert of(found, "eni-1") == [(160.0, "fl-6"), (0.0, "fl-5")]
    assert of(found, "subnet-1") == of(found) == [(0.0, "fl-5")]
    assert ("eni-3", "REJECT") not in found
    gone = decided(store, 220, A)
    assert of(gone, "eni-1") == [(220.0, "fl-5"), (160.0, "fl-6"), (0.0, "fl-5")]
    assert of(gone) == [(0.0, "fl-5")]


def test_a_subnet_gets_its_own(store: Store) -> None:
    """A flow log on a subnet takes over there and nowhere else."""
    subnet = replace(B, resource_id="subnet-1", aggregation=60)
    decided(store, 100, A)
    found = decided(store, 160, A, subnet)
    assert of(found, "subnet-1") == [(160.0, "fl-6"), (0.0, "fl-5")]
    assert of(found, "subnet-2") == of(found) == [(0.0, "fl-5")]


def test_a_query_takes_over_at_a_whole_minute(store: Store) -> None:
    """A query counts by minutes: it takes over where reading has come to, at the next minute."""
    decided(store, 1000, A)
    reached = {"fl-5": 625.0}
    found = decided(store, 1060, A, names={"fl-5": "fl-5/insights"}, reached=reached)
    assert of(found) == [(660.0, "fl-5/insights"), (0.0, "fl-5")]
    # Back again: from now on, and a whole minute as well.
    assert of(decided(store, 1125, A))[0] == (1140.0, "fl-5")


def test_a_query_takes_over_where_nothing_was_read(store: Store) -> None:
    """Without anything read yet the cut is now, and never before the last one."""
    decided(store, 1000, A)
    found = decided(store, 1061, A, names={"fl-5": "fl-5/insights"})
    assert of(found)[0] == (1080.0, "fl-5/insights")
    decided(store, 1130, A)
    reached = {"fl-5": 700.0}
    again = decided(store, 1140, A, names={"fl-5": "fl-5/insights"}, reached=reached)
    since = [cut for cut, _ in of(again)]
    assert since == sorted(since, reverse=True)
    assert len(set(since)) == len(since)
    assert all(cut % 60 == 0 for cut in since)


def test_what_has_gone_is_forgotten(store: Store) -> None:
    """A VPC that has no endpoint any more has no history."""
    decided(store, 100, A)
    empty = replace(listed(160), places={}, own={}, chosen={})
    assert decide(store, SCOPE, empty, {}, {}) == {}


def test_the_settled_index_says_who_speaks(store: Store) -> None:
    """While one goes on that would not be chosen now, the index says so too."""
    decided(store, 100, A, B)
    decided(store, 200, failing(A), B)
    choices = decided(store, 300, A, B)
    fresh = listed(300, A, B)
    assert fresh.speaker("eni-1", "REJECT") == A
    assert settled(fresh, choices, {"fl-5": "fl-5", "fl-6": "fl-6"}).speaker("eni-1", "REJECT") == B
