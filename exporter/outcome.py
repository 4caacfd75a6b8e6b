"""What a single run found of what was asked for, and with which code the program then ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.model import Diagnosis
from exporter.naming import Names
from exporter.publisher import Snapshot
from exporter.unseen import Unseen, unseen, waiting

PASS, FAIL, BAD_USAGE, UNSEEN, COULD_NOT_RUN = 0, 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Missing:
    """What was asked for and names no endpoint or service; and what is like it."""

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
    """Return what was found by these names, of everything where there are none."""
    world, diagnoses = snapshot.world, snapshot.diagnoses
    if not wanted:
        hidden = dict.fromkeys((*unseen(world), *waiting(world)))
        return Outcome(diagnoses, (), tuple(hidden))
    names = Names(world, diagnoses)
    meant = {text: names.named(text) for text in wanted}
    found = {(d.scope, d.id) for named in meant.values() for d in named.found}
    missing = tuple(
        Missing(text, names.close(text)) for text, named in meant.items() if not named.found
    )
    # An id or name that was found is all that was asked for, whatever else there may be.
    certain = all(named.certain for named in meant.values())
    return Outcome(
        tuple(d for d in diagnoses if (d.scope, d.id) in found),
        missing,
        () if certain else unseen(world),
        every=False,
    )
