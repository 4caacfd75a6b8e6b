"""A change that somebody made, or tried to, as CloudTrail tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exporter.model.part import Scope

ChangeOutcome: TypeAlias = Literal["ok", "denied", "error"]


@dataclass(frozen=True, slots=True)
class Change:
    """One event of CloudTrail's that may matter to PrivateLink.

    `id` is its EventId, `at` in seconds since the epoch, `event` the API's operation. `actor` says
    who, as `role/deploy (session alice)`; `address` is the source address or the AWS service that
    acted. `resources` are the ids and ARNs that it names, `what` says in words what changed.
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
