"""What a check says, before it has the check's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from exporter.model import Part, Status, Unavailable

T = TypeVar("T")


class Unseen(Exception):  # noqa: N818  # reads as what it is
    """Raised where a check needs what could not be seen; the text says what, and why."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A check's finding; see :class:`exporter.model.Finding`."""

    status: Status
    summary: str
    resources: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    fix: str | None = None


def passed(summary: str, resources: Iterable[str] = (), evidence: Iterable[str] = ()) -> Judged:
    """Return that nothing is wrong."""
    return Judged("pass", summary, tuple(resources), tuple(evidence))


def warned(
    summary: str,
    resources: Iterable[str] = (),
    evidence: Iterable[str] = (),
    fix: str | None = None,
) -> Judged:
    """Return what does not break connections yet."""
    return Judged("warn", summary, tuple(resources), tuple(evidence), fix)


def failed(
    summary: str,
    resources: Iterable[str] = (),
    evidence: Iterable[str] = (),
    fix: str | None = None,
) -> Judged:
    """Return what breaks connections."""
    return Judged("fail", summary, tuple(resources), tuple(evidence), fix)


def unknown(summary: str, resources: Iterable[str] = (), evidence: Iterable[str] = ()) -> Judged:
    """Return that it cannot be told, and why."""
    return Judged("unknown", summary, tuple(resources), tuple(evidence))


def not_applicable(summary: str) -> Judged:
    """Return that there is nothing to judge, or nothing to judge by; the summary says what."""
    return Judged("not_applicable", summary)


def need(part: Part[T] | None, what: str) -> T:
    """Return what is known of a part of the inventory; raises Unseen when it is not."""
    if part is None:
        raise Unseen(f"{what}: not listed yet")
    if isinstance(part, Unavailable):
        raise Unseen(f"{what}: {part.reason}")
    return part.value
