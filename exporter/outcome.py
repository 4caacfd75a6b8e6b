"""What a single run found of what was asked for, and with which code the program then ends."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.model import Diagnosis
from exporter.publisher import Snapshot
from exporter.unseen import Unseen, unseen, waiting

PASS, FAIL, BAD_USAGE, UNSEEN, COULD_NOT_RUN = 0, 1, 2, 3, 4


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
    unseen: tuple[Unseen, ...] = ()
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
    hidden = unseen(snapshot.world) if missing or not wanted else ()
    if not wanted:
        hidden = tuple(dict.fromkeys((*hidden, *waiting(snapshot.world))))
    return Outcome(found, missing, hidden, not wanted)
