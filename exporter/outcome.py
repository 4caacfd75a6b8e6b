"""What a single run found of what was asked for, and with which code the program then ends."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.model import Diagnosis, Unavailable
from exporter.publisher import Snapshot

PASS, FAIL, BAD_USAGE, UNSEEN, COULD_NOT_RUN = 0, 1, 2, 3, 4
# The listings that say which endpoints and services there are.
_LISTINGS = ("endpoints", "services")


@dataclass(frozen=True, slots=True)
class Missing:
    """What was asked for and is no endpoint's or service's id or name; and what is like it."""

    wanted: str
    close: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The diagnoses that were asked for, what was not found, and where something may be unseen.

    `every` is whether all there is was asked for.
    """

    results: tuple[Diagnosis, ...]
    missing: tuple[Missing, ...] = ()
    unseen: tuple[str, ...] = ()
    every: bool = True

    @property
    def code(self) -> int:
        """The exit code: a failure goes before what could not be seen."""
        verdicts = {diagnosis.verdict for diagnosis in self.results}
        if self.missing and not self.unseen:
            return BAD_USAGE
        if "fail" in verdicts:
            return FAIL
        return UNSEEN if "unknown" in verdicts or self.unseen else PASS


def outcome(snapshot: Snapshot, wanted: Sequence[str]) -> Outcome:
    """Return what was found of these ids and names, of everything where there are none."""
    diagnoses = snapshot.diagnoses
    named = set(wanted) - {""}
    found = tuple(d for d in diagnoses if not wanted or not named.isdisjoint((d.id, d.name)))
    known = sorted({text for d in diagnoses for text in (d.id, d.name) if text})
    missing = tuple(
        Missing(text, tuple(difflib.get_close_matches(text, known)))
        for text in dict.fromkeys(wanted)
        if text not in known
    )
    # What was asked for and found is all that was asked for, whatever else there may be.
    unseen = tuple(_unseen(snapshot)) if missing or not wanted else ()
    return Outcome(found, missing, unseen, not wanted)


def _unseen(snapshot: Snapshot) -> Iterator[str]:
    """Yield where endpoints and services may be that could not be listed, and why."""
    world = snapshot.world
    for status in world.collectors:
        if status.collector == "accounts":
            for what, why in sorted(status.problems.items()):
                where = " ".join(filter(None, (status.scope.account, what)))
                yield f"{where}: {why}"
    for estate in world.estates:
        for name, listing in estate.inventory.listings():
            if name in _LISTINGS and isinstance(listing, Unavailable):
                yield f"{estate.scope.account} {estate.scope.region} {name}: {listing.reason}"
    for name in snapshot.waiting_for or (() if snapshot.ready else ("accounts",)):
        yield f"{name}: not a single pass has ended"
