"""What is judged of an endpoint or a service: a finding of each check, and the one cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exporter.model.part import Scope

Status: TypeAlias = Literal["pass", "warn", "fail", "unknown", "not_applicable"]
Verdict: TypeAlias = Literal["pass", "fail", "unknown"]
Kind: TypeAlias = Literal["endpoint", "service"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    `summary` is a sentence, `resources` the ids of what decides, the deciding one first; `evidence`
    has what was seen, a text each; `fix` a command to paste or the step in the console.
    """

    check: str
    status: Status
    summary: str
    resources: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings of an endpoint or service, in causal order; `root_cause` explains the others."""

    scope: Scope
    id: str
    kind: Kind
    name: str
    service_name: str
    vpc_id: str
    checks: tuple[Finding, ...]
    root_cause: Finding | None = None

    @property
    def judged(self) -> bool:
        """Whether any check concerns it: none does while it is being deleted."""
        return any(finding.status != "not_applicable" for finding in self.checks)

    @property
    def verdict(self) -> Verdict:
        """fail if a check fails, else unknown if one is unknown, else pass."""
        found = {finding.status for finding in self.checks}
        return "fail" if "fail" in found else "unknown" if "unknown" in found else "pass"
