"""What could not be seen of the World, and why: something may be there that no list shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from exporter.model import Outcome, Scope, Unavailable
from exporter.world import World

_LISTINGS = ("endpoints", "services")
# The passes that find out what there is to list, and that list it.
_FINDING = ("accounts", "inventory")
_NOT_ENDED = "its first pass has not ended"
_NOWHERE = Scope("", "")


@dataclass(frozen=True, slots=True)
class Unseen:
    """What is out of sight: a listing or a collector, where, and why.

    Account and Region are empty where not even these are known. `last_seen` is in seconds since the
    epoch; `waits` is whether its first pass has not ended.
    """

    part: str
    scope: Scope
    reason: str
    outcome: Outcome = "error"
    last_seen: float | None = None
    waits: bool = False


def unseen(world: World, listings: Collection[str] = _LISTINGS) -> tuple[Unseen, ...]:
    """Return where there may be more of these listings (`endpoints`, `services`), and why."""
    return (*_accounts(world), *_listings(world, listings), *waiting(world, _FINDING))


def unseen_changes(world: World) -> tuple[Unseen, ...]:
    """Return what hides changes beside what their own collector could not read.

    A collector that is switched off reads none: that there are none in the list says nothing.
    """
    if "changes" in world.off:
        return (Unseen("changes", _NOWHERE, "the collector changes is switched off"),)
    return (*_accounts(world), *waiting(world, (*_FINDING, "changes")))


def waiting(world: World, collectors: Collection[str] = ()) -> Iterator[Unseen]:
    """Yield the first passes of these collectors, of all where none is named, that have not ended.

    Before anything has begun that is the pass that finds the accounts.
    """
    for collector, scope, part in world.waiting:
        if not collectors or collector in collectors:
            of = f"the resolver {part}" if part and collector == "dns" else part
            yield Unseen(f"{collector} ({of})" if of else collector, scope, _NOT_ENDED, waits=True)
    if not (world.waiting or world.collectors or world.estates):
        yield Unseen("accounts", _NOWHERE, _NOT_ENDED, waits=True)


def _accounts(world: World) -> Iterator[Unseen]:
    for status in world.collectors:
        if status.collector == "accounts":
            for what, why in sorted(status.problems.items()):
                said = why if what == "pass" else f"{what}: {why}"
                yield Unseen("accounts", status.scope, said, last_seen=status.last_success)


def _listings(world: World, listings: Collection[str]) -> Iterator[Unseen]:
    for estate in world.estates:
        for name, found in estate.inventory.listings():
            if name in listings and isinstance(found, Unavailable):
                last = found.last.as_of if found.last else None
                yield Unseen(name, estate.scope, found.reason, found.outcome, last)
