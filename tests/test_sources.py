"""Every source of flow logs at once, over HTTP: what they count equals what was delivered."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter import metrics as m
from tests.harness import ExporterProcess, SimulatorProcess, exporter, select, simulator, until

Json = Any
Counts = dict[str, dict[str, list[float]]]
ATHENA = """
    athena: {workgroup: primary, database: default, output: 's3://flow-logs-shared/results/'}
    budget_dollars_per_day: 10
    sources: {/insights/far: insights, 'arn:aws:s3:::flow-logs-shared': athena}
"""


def configured(aws: SimulatorProcess, path: Path, flow_logs: str) -> Path:
    """Write a configuration for the organisation with more keys of the flow logs."""
    config = aws.organised(path)
    queues = ", ".join(f"'{url}'" for url in aws.about["queues"])
    text = config.read_text().replace(
        "  flow_logs: {interval: 1s, lookback: 5m}\n",
        f"  flow_logs:\n    interval: 500ms\n    lookback: 5m\n    notifications: [{queues}]\n"
        f"{flow_logs.strip(chr(10))}\n",
    )
    config.write_text(text)
    return config


@pytest.fixture(scope="module")
def aws() -> Iterator[SimulatorProcess]:
    """The organisation, silent until a test lets its clock run."""
    with simulator("--world", "organisation", "--no-clock", "--speed", "60") as running:
        yield running


@pytest.fixture(scope="module")
def running(
    aws: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExporterProcess]:
    """An exporter that has read all that was delivered in some twenty seconds of traffic."""
    directory = tmp_path_factory.mktemp("sources")
    config = configured(aws, directory / "config.yaml", ATHENA)
    with exporter(aws.environment, directory, f"--config.file={config}") as process:
        until(process.ready, 60)
        until(lambda: set(select(process.series(), m.COLLECTOR_UP.name).values()) == {1.0}, 30)
        time.sleep(2)  # the first window must not begin before the flow logs were first seen
        aws.control("clock", {"running": True})
        time.sleep(12)
        aws.control("clock", {"running": False})
        until(lambda: aws.control("truth")["pending"] == 0, 60)
        yield process


def flow_logs(process: ExporterProcess) -> dict[str, Json]:
    """Return what the status says of each flow log, by where it delivers."""
    return {f["destination"]: f for f in process.json("/api/v1/status")["flow_logs"]}


def counted(process: ExporterProcess) -> Counts:
    """Return records, bytes and packets by endpoint and action, where there are any."""
    found: Counts = {}
    series = process.series()
    for i, metric in enumerate((m.FLOW_RECORDS, m.FLOW_BYTES, m.FLOW_PACKETS)):
        for labels, value in select(series, metric.name).items():
            by = dict(labels)
            if value:
                per = found.setdefault(by["endpoint_id"], {})
                per.setdefault(by["action"], [0, 0, 0])[i] = value
    return found


@pytest.mark.timeout(240)
def test_every_source_counts_what_was_delivered(
    aws: SimulatorProcess, running: ExporterProcess
) -> None:
    """Log events, files found and told of, Logs Insights and Athena: each series is exact."""
    truth = aws.control("truth")["totals"]
    assert len(truth) > 25
    until(lambda: counted(running) == truth, 60, "counters equal the truth")
    time.sleep(3)
    assert counted(running) == truth
    found = flow_logs(running)
    assert {where: found[where]["source"] for where in found if found[where]["source"]} | {
        "/vpc/shop": "cloudwatch",
        "arn:aws:s3:::flow-logs-groups/vpc/": "s3",
        "arn:aws:s3:::flow-logs-six": "s3",
        "/insights/far": "insights",
        "arn:aws:s3:::flow-logs-shared": "athena",
    } == {where: found[where]["source"] for where in found if found[where]["source"]}
    assert all(f["source_reason"] for f in found.values())
    assert "queue told of" in found["arn:aws:s3:::flow-logs-six"]["source_reason"]


def test_the_clients_side_is_counted(aws: SimulatorProcess, running: ExporterProcess) -> None:
    """Records at the clients' interfaces count for the endpoint, where lines are read."""
    truth = aws.control("truth")["client_totals"]
    asked = {
        f"{s['id']}" for s in aws.about["scenarios"].values() if s["name"] in ("far", "hive-hourly")
    }

    def shown() -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for labels, value in select(running.series(), m.CLIENT_FLOW_RECORDS.name).items():
            by = dict(labels)
            if value:
                found.setdefault(by["endpoint_id"], {})[by["action"]] = value
        return found

    by_query = {e for e in truth if e not in shown()} | asked
    wanted = {e: counts for e, counts in truth.items() if e not in by_query}
    assert len(wanted) > 20
    until(lambda: shown() == wanted, 30, "client counters equal the truth")
    # Only endpoints of VPCs whose flow log a query counts have none.
    status = running.json("/api/v1/endpoints")["endpoints"]
    sources = {f["id"]: f["source"] for f in running.json("/api/v1/status")["flow_logs"]}
    covering = {e["id"]: {sources[f["id"]] for f in e["covering_flow_logs"]} for e in status}
    assert all(covering[e] <= {"insights", "athena"} for e in by_query if e in covering)


def test_who_was_rejected_is_named(aws: SimulatorProcess, running: ExporterProcess) -> None:
    """The endpoint whose group lacks the port names clients, port and side, most frequent first."""
    scenario = aws.about["scenarios"]["sg-other-group"]
    rejected = running.json(f"/api/v1/endpoints/{scenario['id']}")["rejected"]
    assert rejected
    assert [r["count"] for r in rejected] == sorted((r["count"] for r in rejected), reverse=True)
    assert {(r["port"], r["protocol"], r["side"], r["error"]) for r in rejected} == {
        (443, 6, "endpoint", 0)
    }
    total = aws.control("truth")["totals"][scenario["id"]]["REJECT"][0]
    assert sum(r["count"] for r in rejected) == total
    recent = select(running.series(), m.FLOW_REJECTS_RECENT.name, endpoint_id=scenario["id"])
    assert sum(recent.values()) == total
    healthy = aws.about["scenarios"]["secrets"]
    assert running.json(f"/api/v1/endpoints/{healthy['id']}")["rejected"] == []
    dark = aws.about["scenarios"]["no-flow-log"]
    assert running.json(f"/api/v1/endpoints/{dark['id']}")["rejected"] is None


def test_what_was_asked_has_its_price(running: ExporterProcess) -> None:
    """Requests and queries that AWS bills are counted in dollars."""
    costs = {
        (dict(labels)["aws_service"], dict(labels)["operation"]): value
        for labels, value in select(running.series(), m.AWS_COST.name).items()
    }
    assert costs["s3", "ListObjectsV2"] > 0
    assert costs["athena", "StartQueryExecution"] >= 5e-5  # ten megabytes at least each
    assert {("s3", "GetObject"), ("sqs", "ReceiveMessage"), ("logs", "StartQuery")} <= set(costs)


FAULTS = {
    "ListObjectsV2": ("s3", "arn:aws:s3:::flow-logs-groups/vpc/"),
    "GetObject": ("s3", "arn:aws:s3:::flow-logs-groups/vpc/"),
    "StartQuery": ("logs", "/insights/far"),
    "GetQueryResults": ("logs", "/insights/far"),
    "StartQueryExecution": ("athena", "arn:aws:s3:::flow-logs-shared"),
}


@pytest.fixture
def another() -> Iterator[SimulatorProcess]:
    """An organisation that nobody else asks."""
    with simulator("--world", "organisation", "--no-clock", "--speed", "60") as running:
        yield running


@pytest.mark.prove
@pytest.mark.parametrize("kind", ["denied", "malformed"])
@pytest.mark.timeout(240)
def test_a_source_that_fails_says_why(another: SimulatorProcess, tmp_path: Path, kind: str) -> None:
    """Each source's own calls fail: it says so, the others go on, and what it missed is counted."""
    aws = another
    config = configured(aws, tmp_path / "config.yaml", ATHENA)
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as process:
        until(process.ready, 60)
        until(lambda: flow_logs(process)["/vpc/shop"]["read_to"], 30)
        time.sleep(4)
        aws.control(
            "faults",
            [{"kind": kind, "service": s, "operation": o} for o, (s, _) in FAULTS.items()],
        )
        before = aws.control("truth")["totals"]
        aws.control("clock", {"running": True})
        until(lambda: aws.control("truth")["totals"] != before, 60)
        broken = {where for _, where in FAULTS.values()}
        until(lambda: all(flow_logs(process)[where]["problem"] for where in broken), 60)
        assert flow_logs(process)["/vpc/shop"]["problem"] is None
        up = select(process.series(), m.COLLECTOR_UP.name, collector="flow_logs")
        assert 0.0 in up.values()
        aws.control("clock", {"running": False})
        until(lambda: aws.control("truth")["pending"] == 0, 60)
        aws.control("faults", [])
        until(lambda: not any(f["problem"] for f in flow_logs(process).values()), 60)
        # Whatever was delivered meanwhile is counted, no more and no less.
        after = aws.control("truth")["totals"]
        wanted = {
            e: {
                a: [x - y for x, y in zip(n, before.get(e, {}).get(a, [0] * 3), strict=True)]
                for a, n in of.items()
            }
            for e, of in after.items()
        }
        wanted = {e: {a: n for a, n in of.items() if any(n)} for e, of in wanted.items()}
        until(lambda: counted(process) == {e: of for e, of in wanted.items() if of}, 60)


def test_a_spent_budget_stops_queries_alone(another: SimulatorProcess, tmp_path: Path) -> None:
    """When the day's dollars are spent no query is asked, that is said, and the rest goes on."""
    aws = another
    config = configured(
        aws,
        tmp_path / "config.yaml",
        ATHENA.replace("budget_dollars_per_day: 10", "budget_dollars_per_day: 0.0000001"),
    )
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as process:
        until(process.ready, 60)
        shared = "arn:aws:s3:::flow-logs-shared"
        until(lambda: "budget" in (flow_logs(process)[shared]["problem"] or ""), 60)
        assert "budget_dollars_per_day" in flow_logs(process)[shared]["problem"]
        assert flow_logs(process)["/vpc/shop"]["problem"] is None
        asked = aws.control("calls").get("athena:StartQueryExecution", 0)
        time.sleep(5)
        assert aws.control("calls").get("athena:StartQueryExecution", 0) == asked


@pytest.mark.prove
@pytest.mark.timeout(120)
def test_a_source_is_changed_while_it_runs(another: SimulatorProcess, tmp_path: Path) -> None:
    """Another source for a flow log, by reload and by restart: the daemon goes on with it."""
    config = configured(another, tmp_path / "config.yaml", ATHENA)
    lines = config.read_text()
    query = lines.replace("sources: {", "sources: {/vpc/shop: insights, ")
    lines = lines.replace("sources: {", "sources: {/vpc/shop: cloudwatch, ")
    arguments = (f"--config.file={config}",)

    def picked(process: ExporterProcess, source: str) -> None:
        until(lambda: flow_logs(process)["/vpc/shop"]["source"] == source, 30)
        time.sleep(2)
        assert process.alive()
        shop = flow_logs(process)["/vpc/shop"]["id"]
        series = select(process.series(), m.FLOW_LOG_BACKLOG.name, flow_log_id=shop)
        assert len(series) == 1

    config.write_text(lines)
    with exporter(another.environment, tmp_path, *arguments) as process:
        until(process.ready, 60)
        picked(process, "cloudwatch")
        for text, source in ((query, "insights"), (lines, "cloudwatch"), (query, "insights")):
            config.write_text(text)
            process.process.send_signal(signal.SIGHUP)
            picked(process, source)
    config.write_text(lines)
    with exporter(another.environment, tmp_path, *arguments) as process:
        until(process.ready, 60)
        picked(process, "cloudwatch")
