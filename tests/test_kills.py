"""kill -9 at any instant: the counters equal what was delivered, in whatever way it was."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from exporter import metrics as m
from tests.harness import ExporterProcess, SimulatorProcess, exporter, select, simulator, until

# Series by metric, endpoint and action.
Counts = dict[tuple[str, str, str], float]


def configure(aws: SimulatorProcess, path: Path) -> Path:
    """Write a configuration that reads the mixed world in every way."""
    path.write_text(
        "collectors:\n"
        "  inventory: {interval: 500ms}\n"
        f"  dns: {{interval: 10s, resolvers: [{{address: '127.0.0.1:{aws.about['dns_port']}'}}]}}\n"
        "  flow_logs:\n"
        "    interval: 500ms\n"
        "    lookback: 5m\n"
        "    budget_dollars_per_day: 1000\n"
        "    sources: {/insights/query: insights}\n"
        f"    notifications: ['{aws.about['queues'][0]}']\n"
    )
    return path


def names(running: ExporterProcess) -> dict[str, str]:
    """Return the endpoints' names by their ids."""
    found = select(running.series(), m.ENDPOINT_INFO.name)
    return {dict(labels)["endpoint_id"]: dict(labels)["name"] for labels in found}


def delivered(truth: Any, name_of: dict[str, str]) -> Counts:
    """Return what the counters must show."""
    found: Counts = {}
    for endpoint, by_action in truth["totals"].items():
        for action, totals in by_action.items():
            for metric, value in zip(
                (m.FLOW_RECORDS, m.FLOW_BYTES, m.FLOW_PACKETS), totals, strict=True
            ):
                found[metric.name, endpoint, action] = value
    for endpoint, by_action in truth["client_totals"].items():
        # A query does not tell of clients.
        if not name_of[endpoint].startswith("query"):
            for action, value in by_action.items():
                found[m.CLIENT_FLOW_RECORDS.name, endpoint, action] = value
    return found


def shown(running: ExporterProcess) -> Counts:
    """Return what the counters show, but for those that are 0."""
    series = running.series()
    metrics = (m.FLOW_RECORDS, m.FLOW_BYTES, m.FLOW_PACKETS, m.CLIENT_FLOW_RECORDS)
    return {
        (metric.name, dict(labels)["endpoint_id"], dict(labels)["action"]): value
        for metric in metrics
        for labels, value in select(series, metric.name).items()
        if value
    }


def difference(some: Counts, others: Counts) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Return the series that differ, with both values."""
    return {
        key: (some.get(key, 0), others.get(key, 0))
        for key in some.keys() | others.keys()
        if some.get(key, 0) != others.get(key, 0)
    }


@pytest.mark.parametrize(
    "times", [5, pytest.param(50, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])]
)
def test_killed_while_it_reads_in_every_way(tmp_path: Path, times: int) -> None:
    """Log groups, files, doubled notifications, queries, late lines: no series is off by one."""
    draw = random.Random()
    flags = ("--world", "mixed", "--no-clock", "--speed", "600", "--late", "0.2")
    with simulator(*flags) as aws:
        config = configure(aws, tmp_path / "config.yaml")
        arguments = (f"--config.file={config}",)
        with exporter(aws.environment, tmp_path, *arguments) as running:
            # Every flow log is first seen before the first window begins.
            until(lambda: len(select(running.series(), m.FLOW_RECORDS.name)) >= 20)
            name_of = names(running)
        time.sleep(2.5)
        aws.control("clock", {"running": True})
        for _ in range(times):
            with exporter(aws.environment, tmp_path, *arguments) as running:
                until(running.alive)
                time.sleep(draw.uniform(0, 2))
                running.process.send_signal(signal.SIGKILL)
                running.process.wait()
        aws.control("clock", {"running": False})
        until(lambda: aws.control("truth")["pending"] == 0)
        truth = delivered(aws.control("truth"), name_of)
        assert {name_of[endpoint] for _, endpoint, _ in truth} == set(name_of.values())
        with exporter(aws.environment, tmp_path, *arguments) as running:
            last: list[Any] = []

            def equal() -> bool:
                last[:] = [difference(shown(running), truth)]
                return not last[0]

            until(equal, 60, f"the same as was delivered: {last}")
            time.sleep(3)
            assert difference(shown(running), truth) == {}
