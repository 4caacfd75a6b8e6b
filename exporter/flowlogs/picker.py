"""Picks the source of every flow log, pass after pass, by how reading its lines comes on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from exporter.flowlogs.attribute import Index
from exporter.flowlogs.judge import Choices
from exporter.flowlogs.passing import SourceReport
from exporter.flowlogs.sourcing import CLOUDWATCH, QUERIES, S3, Pick, Settings, pick, speaker
from exporter.flowlogs.telling import Teller

# So many passes without catching up, and reading every line is given up where a query may count.
PATIENCE = 5


@dataclass(slots=True)
class Picker:
    """Picks for one account and Region; `picks` are those of the last time, by flow log."""

    settings: Settings
    teller: Teller
    picks: Mapping[str, Pick] = field(default_factory=dict)
    # How many seconds reading was behind, and for how many passes in a row it came no nearer.
    _behind: dict[str, tuple[float, int]] = field(default_factory=dict)

    def pick(self, index: Index, choices: Choices, notified: Collection[str]) -> None:
        """Pick anew. `choices` say who speaks, `notified` are those whose files a queue names."""
        together: dict[tuple[str, str], set[str]] = {}
        for flow_log in index.flow_logs.values():
            where = flow_log.destination_type, flow_log.destination
            together.setdefault(where, set()).add(flow_log.id)
        speaking = {cuts[0][1] for cuts in choices.values()}
        picks: dict[str, Pick] = {}
        for flow_log in index.flow_logs.values():
            neighbours = together[flow_log.destination_type, flow_log.destination] - {flow_log.id}
            before = next((q for q in QUERIES if speaker(flow_log.id, q) in speaking), "")
            seconds, passes = self._behind.get(flow_log.id, (0.0, 0))
            behind = seconds if passes >= PATIENCE else None
            told = flow_log.id in notified
            found = pick(flow_log, self.settings, neighbours, behind, before, told)
            if found != self.picks.get(flow_log.id):
                self.teller.pick(flow_log.id, found)
            picks[flow_log.id] = found
        self.picks = picks

    def watch(self, as_of: float, reports: Mapping[str, SourceReport]) -> None:
        """Take note of how far behind reading is: further than the look-back, and no nearer."""
        behind: dict[str, tuple[float, int]] = {}
        for report in reports.values():
            seconds = as_of - report.read_to if report.read_to is not None else 0.0
            slow = report.problem is None and seconds > self.settings.lookback
            for flow_log_id in report.flow_log_ids:
                found = self.picks.get(flow_log_id)
                if slow and found and found.source in (CLOUDWATCH, S3):
                    before, passes = self._behind.get(flow_log_id, (seconds, 0))
                    behind[flow_log_id] = seconds, passes + 1 if seconds >= before else 0
        self._behind = behind
