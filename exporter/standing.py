"""How an endpoint or service stands, in one word or two, and in which order that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeAlias

from exporter.model import Diagnosis, Finding

Standing: TypeAlias = Literal["fail", "unknown", "warn", "pass", "not judged"]

# What somebody has to do something about comes first.
ORDER: tuple[Standing, ...] = ("fail", "unknown", "warn", "pass", "not judged")


def standing(diagnosis: Diagnosis | None) -> Standing:
    """Return the verdict, a pass with warnings apart; what nothing has judged yet is unknown."""
    if diagnosis is None:
        return "unknown"
    if not diagnosis.judged:
        return "not judged"
    if diagnosis.verdict == "pass" and _with(diagnosis, "warn"):
        return "warn"
    return diagnosis.verdict


def verdict(diagnosis: Diagnosis | None) -> str:
    """Return the verdict in words: `fail`, `unknown`, `pass, 2 warnings`, `pass`, `not judged`."""
    found = standing(diagnosis)
    if diagnosis is None or found != "warn":
        return found
    count = len(_with(diagnosis, "warn"))
    return f"pass, {count} warning{'s' if count > 1 else ''}"


def reasons(diagnosis: Diagnosis | None) -> tuple[Finding, ...]:
    """Return what the verdict is about: the root cause, the first unknown, or the warnings."""
    found = standing(diagnosis)
    if diagnosis is None:
        return ()
    if found == "fail":
        return (diagnosis.root_cause,) if diagnosis.root_cause else ()
    if found == "unknown":
        return _with(diagnosis, "unknown")[:1]
    return _with(diagnosis, "warn") if found == "warn" else ()


def counts(diagnoses: Iterable[Diagnosis]) -> str:
    """Return how many there are of each: `33 fail, 1 unknown, 7 warn, 32 pass, 2 not judged`."""
    found = Counter(standing(diagnosis) for diagnosis in diagnoses)
    return ", ".join(f"{found[word]} {word}" for word in ORDER if found[word])


def _with(diagnosis: Diagnosis, status: str) -> tuple[Finding, ...]:
    return tuple(finding for finding in diagnosis.checks if finding.status == status)
