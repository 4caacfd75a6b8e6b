"""The most frequent in bounded memory: the true count lies where the sketch says."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from exporter.flowlogs import sketch
from exporter.flowlogs.sketch import CAPACITY, Sketch

# A few frequent keys and many rare ones.
KEYS = st.integers(0, 5) | st.integers(0, 2000)
STREAM = st.lists(st.tuples(KEYS, st.integers(1, 50)), max_size=1500)


def holds(found: Sketch[int], truth: Counter[int]) -> None:
    """Assert that each count is within the bound, and memory too."""
    assert len(found.counts) <= 2 * CAPACITY
    assert found.error <= truth.total() / CAPACITY
    for key in {*truth, *found.counts}:
        least = found.counts[key][0] if key in found.counts else 0
        assert least <= truth[key] <= least + found.error


def filled(stream: list[tuple[int, int]], truth: Counter[int]) -> Sketch[int]:
    found: Sketch[int] = Sketch()
    for moment, (key, amount) in enumerate(stream):
        found.add(key, amount, moment, moment + 1)
        truth[key] += amount
    return found


@given(STREAM)
def test_the_true_count_is_within_the_error(stream: list[tuple[int, int]]) -> None:
    """Between what is said and that plus the error, which is a small share of all."""
    truth: Counter[int] = Counter()
    holds(filled(stream, truth), truth)


@given(st.lists(STREAM, max_size=5), st.randoms())
def test_merging_keeps_the_bound(streams: list[list[tuple[int, int]]], draw: object) -> None:
    """However sketches are merged: the bound is that of all that was added."""
    truth: Counter[int] = Counter()
    parts = [filled(stream, truth) for stream in streams]
    while len(parts) > 1:
        one = parts.pop(draw.randrange(len(parts)))  # type: ignore[attr-defined]  # a Random
        parts[draw.randrange(len(parts))].merge(one)  # type: ignore[attr-defined]
    holds(parts[0] if parts else Sketch(), truth)


@given(st.lists(st.tuples(st.integers(0, 2 * CAPACITY - 1), st.integers(1, 9)), max_size=800))
def test_few_keys_are_counted_exactly(stream: list[tuple[int, int]]) -> None:
    """Up to twice the capacity of keys nothing is lost."""
    truth: Counter[int] = Counter()
    found = filled(stream, truth)
    assert found.error == 0
    assert {key: row[0] for key, row in found.counts.items()} == dict(truth)


def test_first_and_last() -> None:
    """When a key was seen first and last survives adding and merging, in any order."""
    one: Sketch[str] = Sketch()
    one.add("a", 1, 50, 60)
    one.add("a", 1, 10, 20)
    other: Sketch[str] = Sketch()
    other.add("a", 1, 5, 99)
    other.add("b", 1, 7, 8)
    one.merge(other)
    assert one.counts == {"a": (3, 5, 99), "b": (1, 7, 8)}
    # The other one is its own still.
    one.add("b", 1, 1, 100)
    assert other.counts["b"] == (1, 7, 8)


def test_a_scan_does_not_hide_who_is_rejected_most() -> None:
    """A million sources that come once leave in what comes a thousand times."""
    found: Sketch[int] = Sketch()
    for i in range(100_000):
        found.add(i, 1, i, i)
        if i % 50 == 0:
            found.add(-1, 1, i, i)
    least = found.counts[-1][0]
    assert least <= 2000 <= least + found.error
    assert len(found.counts) <= 2 * sketch.CAPACITY
