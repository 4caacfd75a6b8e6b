"""A diagnosis as JSON: the same in the API and on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporter.model import Diagnosis, Finding, Scope
from exporter.unseen import Unseen
from exporter.web.plain import Json, hidden, rfc3339, where


def results(as_of: float, diagnoses: Iterable[Diagnosis], unseen: Iterable[Unseen]) -> Json:
    """Return what was judged at that moment (seconds since the epoch), and what is unseen."""
    return {
        "generated_at": rfc3339(as_of),
        "results": [result(d) for d in diagnoses],
        "unavailable": hidden(unseen),
    }


def result(diagnosis: Diagnosis) -> dict[str, Json]:
    """Return one endpoint or service with what is judged of it."""
    return {
        **where(diagnosis.scope),
        "id": diagnosis.id,
        "kind": diagnosis.kind,
        "name": diagnosis.name,
        "service_name": diagnosis.service_name,
        "vpc_id": diagnosis.vpc_id,
        **judged(diagnosis),
    }


def judged(diagnosis: Diagnosis) -> dict[str, Json]:
    """Return what is judged: the verdict, the one cause, every check in causal order."""
    cause = diagnosis.root_cause
    return {
        "verdict": diagnosis.verdict,
        "root_cause": None if cause is None else _finding(cause),
        "checks": [_finding(found) for found in diagnosis.checks],
    }


def brief(diagnosis: Diagnosis | None) -> dict[str, Json]:
    """Return the verdict, and of the cause the check and its sentence: for lists."""
    if diagnosis is None:
        return {"verdict": "unknown", "root_cause": None}
    cause = diagnosis.root_cause
    return {
        "verdict": diagnosis.verdict,
        "root_cause": cause and {"check": cause.check, "summary": cause.summary},
    }


def by_id(diagnoses: Iterable[Diagnosis]) -> Mapping[tuple[Scope, str], Diagnosis]:
    """Return the diagnoses by where they are and their id: another Region may have the same."""
    return {(d.scope, d.id): d for d in diagnoses}


def _finding(found: Finding) -> dict[str, Json]:
    return {
        "check": found.check,
        "status": found.status,
        "summary": found.summary,
        "resources": list(found.resources),
        "evidence": list(found.evidence),
        "fix": found.fix,
    }
