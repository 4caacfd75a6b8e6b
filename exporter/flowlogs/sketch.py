"""The most frequent of many, in bounded memory, with the error stated.

Misra and Gries, "Finding repeated elements" (1982); summaries can be merged: Agarwal et al.,
"Mergeable summaries" (2012).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")

# The error is at most a 128th of all that was added.
CAPACITY = 128


@dataclass(slots=True)
class Sketch(Generic[K]):
    """Counts of the most frequent keys, and the first and last second of each.

    A key's true count lies between the one here (0 for a key that is not here) and that plus
    `error`, which is 0 until more than twice the capacity of keys have come.
    """

    error: int = 0
    counts: dict[K, tuple[int, int, int]] = field(default_factory=dict)

    def add(self, key: K, amount: int, first: int, last: int) -> None:
        """Add so many of a key, seen from `first` to `last`."""
        known = self.counts.get(key)
        if known is None:
            self.counts[key] = amount, first, last
            if len(self.counts) > 2 * CAPACITY:
                self._shrink()
            return
        self.counts[key] = known[0] + amount, min(known[1], first), max(known[2], last)

    def merge(self, other: Sketch[K]) -> None:
        """Add all of another one; its error adds to ours."""
        if not self.counts:
            self.error, self.counts = self.error + other.error, dict(other.counts)
            return
        self.error += other.error
        counts = self.counts
        for key, new in other.counts.items():
            known = counts.get(key)
            if known is not None:
                counts[key] = known[0] + new[0], min(known[1], new[1]), max(known[2], new[2])
                continue
            counts[key] = new
            if len(counts) > 2 * CAPACITY:
                self._shrink()
                counts = self.counts

    def copy(self) -> Sketch[K]:
        """Return a sketch that does not change with this one."""
        return Sketch(self.error, dict(self.counts))

    def _shrink(self) -> None:
        """Take from every count the largest that is not among the most frequent."""
        cut = sorted((c[0] for c in self.counts.values()), reverse=True)[CAPACITY]
        self.error += cut
        self.counts = {
            key: (count - cut, first, last)
            for key, (count, first, last) in self.counts.items()
            if count > cut
        }
