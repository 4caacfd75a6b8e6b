"""A change that somebody made, or tried to, as CloudTrail tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from exporter.model.part import Scope, Unavailable

ChangeOutcome: TypeAlias = Literal["ok", "denied", "error"]


@dataclass(frozen=True, slots=True)
class Change:
    """One event of CloudTrail's that may matter to PrivateLink.

    `id` is its EventId, `at` in seconds since the epoch, `event` the API's operation. `actor` says
    who, as `role/deploy (session alice)`; `address` is the source address or the AWS service that
    acted. `resources` are the ids, ARNs and DNS names that it names, `subjects` those of them that
    it acts on: a rule that names another group changes its own. `what` says in words what changed.
    `error` is the error code of an attempt that failed.
    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    """

    id: str
    scope: Scope
    at: float
    event: str
    source: str
    actor: str
    address: str
    outcome: ChangeOutcome
    resources: frozenset[str] = frozenset()
    what: str = ""
    error: str = ""
    subjects: frozenset[str] = frozenset()

    @property
    def touches(self) -> frozenset[str]:
        """What it acts on; where that is not clear, all that it names."""
        return self.subjects or self.resources


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is remembered of the changes in one account and Region: the newest first.

    `counts` are of (event, outcome), since the exporter began; `unread` are the times (from, to)
    whose events have not been read yet. `problem` is why the last pass could not read.
    """

    changes: tuple[Change, ...] = ()
    counts: Mapping[tuple[str, ChangeOutcome], int] = field(default_factory=dict)
    unread: tuple[tuple[float, float], ...] = ()
    problem: Unavailable[Any] | None = None
