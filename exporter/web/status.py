"""How the exporter itself does, as JSON."""

from __future__ import annotations

from exporter.flowlogs import kernel, tally
from exporter.flowlogs.passing import SourceReport
from exporter.publisher import Snapshot
from exporter.web.plain import Json, rfc3339, unavailable, where
from exporter.world import Estate


def status(snapshot: Snapshot) -> Json:
    """Return how the exporter itself does: collectors, flow-log sources, requests, build."""
    world = snapshot.world
    return {
        "generated_at": rfc3339(world.as_of),
        "version": world.version,
        "python_version": world.python_version,
        "ready": snapshot.ready,
        "waiting_for": list(snapshot.waiting_for),
        "store_ok": world.store_ok,
        # native, or numpy where no compiler was there when it was installed.
        "flow_log_lines_read_by": kernel.name(),
        "config_last_reload_successful": world.reload_ok,
        "collectors": [
            {
                "collector": c.collector,
                **where(c.scope),
                "part": c.part,
                "up": c.up,
                "last_pass": rfc3339(c.ended),
                "duration_seconds": round(c.duration, 3),
                "last_success": None if c.last_success is None else rfc3339(c.last_success),
                "problems": dict(c.problems),
            }
            for c in world.collectors
        ],
        "switched_off": sorted(world.off),
        "flow_logs": [found for estate in world.estates for found in _flow_logs(estate, world.off)],
        "unavailable": [
            {**where(estate.scope), "part": name, "of": of or None, **unavailable(found)}
            for estate in world.estates
            for name, of, found in estate.inventory.unavailable()
        ],
        "aws_requests": [
            {**key._asdict(), "count": count} for key, count in sorted(world.requests.items())
        ],
        "aws_cost_dollars": [
            {"aws_service": service, "operation": operation, "dollars": round(dollars, 6)}
            for (service, operation), dollars in sorted(world.costs.items())
        ],
    }


def _problem(estate: Estate, source: SourceReport | None, off: frozenset[str]) -> str | None:
    if "flow_logs" in off:
        return "switched off: collectors.flow_logs.enabled is false"
    if source and source.problem:
        return source.problem.reason
    return None if estate.report.number else "nothing has been read yet: see store_ok and the log"


def _flow_logs(estate: Estate, off: frozenset[str]) -> list[Json]:
    # Of two sources, while one takes over from the other, one with a problem tells.
    sources = {
        i: found
        for found in sorted(estate.report.sources.values(), key=lambda s: s.problem is not None)
        for i in found.flow_log_ids
    }
    found = []
    for flow_log in estate.flow_logs().values():
        source = sources.get(flow_log.id)
        pick = estate.report.picks.get(flow_log.id)
        newest = estate.report.newest_records.get(flow_log.id)
        found.append(
            {
                **where(estate.scope),
                "id": flow_log.id,
                "resource_id": flow_log.resource_id,
                "traffic_type": flow_log.traffic_type,
                "destination_type": flow_log.destination_type,
                "destination": flow_log.destination,
                "readable": estate.reads(flow_log),
                "source": pick.source or None if pick else None,
                "source_reason": pick.reason if pick else None,
                "delivers": flow_log.delivers,
                "delivery_error": flow_log.delivery_error or None,
                "newest_record": None if newest is None else rfc3339(newest),
                "read_to": rfc3339(source.read_to) if source and source.read_to else None,
                "problem": _problem(estate, source, off),
                "lines": {
                    key.label: count
                    for key, count in estate.report.counters.items()
                    if key.subject == flow_log.id and key.name == tally.LINES
                },
            }
        )
    return found
