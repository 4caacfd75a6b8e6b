"""What of the flow logs goes to the program's log: when it changes, not at every pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from exporter.flowlogs.sourcing import Pick
from exporter.model import Scope

log = structlog.get_logger()

# Told again rather than kept for ever.
_MOST = 10_000


@dataclass(slots=True)
class Teller:
    """Tells of one account and Region."""

    scope: Scope
    _told: dict[str, str] = field(default_factory=dict)

    def problem(self, subject: str, reason: str | None, text: str = "") -> None:
        """Tell of a problem that appears or changes, with an example, or that has gone (None)."""
        if reason == self._told.get(subject):
            return
        if reason is None:
            del self._told[subject]
            log.info("flow logs readable again", source=subject, **self._where)
            return
        self._keep(subject, reason)
        more = {"example": text} if text else {}
        log.warning("flow logs: a problem", source=subject, reason=reason, **more, **self._where)

    def pick(self, flow_log_id: str, pick: Pick) -> None:
        """Tell by which source a flow log is read."""
        log.info(
            "how a flow log is read",
            flow_log_id=flow_log_id,
            source=pick.source or "not at all",
            reason=pick.reason,
            **self._where,
        )

    def cuts(self, choices: Mapping[Any, Sequence[tuple[float, str]]]) -> None:
        """Tell of the interfaces for which another flow log begins to speak."""
        for (resource, action), found in choices.items():
            since, name = found[0]
            subject = f"{resource} {action} since {since}"
            if len(found) > 1 and subject not in self._told:
                self._keep(subject, name)
                log.warning(
                    "another flow log speaks for an interface: up to one aggregation window of "
                    "records may be missed or counted twice",
                    resource=resource,
                    action=action,
                    flow_log_id=name,
                    since=since,
                    **self._where,
                )

    def _keep(self, subject: str, text: str) -> None:
        if len(self._told) > _MOST:
            self._told.clear()
        self._told[subject] = text

    @property
    def _where(self) -> dict[str, str]:
        return {
            "collector": "flow_logs",
            "account": self.scope.account,
            "region": self.scope.region,
        }
