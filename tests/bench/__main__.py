"""Measure: the exposition against prometheus_client's, parsing line by line, and judging."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from exporter import analysis, metrics
from exporter.exposition import render
from exporter.flowlogs.formats import DEFAULT, from_log_format
from exporter.flowlogs.parse import parse
from exporter.model import Known
from tests.bench import diagnosis

SERIES = 100_000
LINES = 100_000
EVENTS = 50_000


def best(run: Callable[[], object], times: int = 3) -> float:
    """Return the seconds of the fastest run."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)


def say(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<58} {value}\n")


def exposition() -> None:
    """Our writer, and what a scrape costs, against prometheus_client's own."""
    labels = [("111122223333", "eu-west-1", f"vpce-{i:017x}", "ACCEPT") for i in range(SERIES)]
    names = metrics.FLOW_RECORDS.labels
    samples = [
        metrics.FLOW_RECORDS(i, **dict(zip(names, label, strict=True)))
        for i, label in enumerate(labels)
    ]
    family = CounterMetricFamily("privatelink_flow_records", "x", labels=names)
    for i, label in enumerate(labels):
        family.add_metric(list(label), i)

    class Collector:
        def collect(self) -> list[Metric]:
            return [family]

    registry = CollectorRegistry()
    registry.register(Collector())
    ours = best(lambda: render(samples))
    theirs = best(lambda: generate_latest(registry))
    say(f"exposition, {SERIES} series, all four bodies", f"{ours:.3f} s")
    say("prometheus_client generate_latest, text only", f"{theirs:.3f} s ({theirs / ours:.1f}x)")


def parsing() -> None:
    """Lines of the default format, one core."""
    line = "2 111122223333 eni-0a1 10.0.0.1 10.0.0.2 49152 443 6 10 840 1700000000 1700000060"
    line += " ACCEPT OK"
    layout = from_log_format(DEFAULT)
    taken = best(lambda: [parse(line, layout) for _ in range(LINES)])
    say("parse, default format", f"{LINES / taken / 1000:.0f} k lines/s")


def judging() -> None:
    """Every check of an estate, and that twice as much takes twice as long."""
    for endpoints in (diagnosis.ENDPOINTS // 2, diagnosis.ENDPOINTS, 2 * diagnosis.ENDPOINTS):
        facts = diagnosis.estate(endpoints)
        inventory = facts.sites[0].inventory
        assert isinstance(inventory.security_groups, Known)
        assert isinstance(inventory.network_acls, Known)
        groups, acls = len(inventory.security_groups.value), len(inventory.network_acls.value)
        taken = best(lambda: analysis.diagnose(facts))  # noqa: B023  # called at once
        what = f"judge {endpoints} endpoints, {groups} groups, {acls} network ACLs"
        say(what, f"{taken:.2f} s ({1e6 * taken / endpoints:.0f} µs each)")


if __name__ == "__main__":
    exposition()
    parsing()
    judging()
