"""The bytes of /metrics: against prometheus_client's writer and parsers, and promtool."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import metrics
from exporter.config import parse
from exporter.exposition import OPENMETRICS, TEXT, process_families, render
from exporter.flowlogs.passing import SourceReport
from exporter.model import Endpoint, EndpointService, Finding, Status
from exporter.samples import samples
from tests.harness import parse_series, select
from tests.worlds import ENDPOINT, NOW, PENDING, SERVICE, diagnosis, fixed_diagnoses, fixed_world

# prometheus_client leaves this one untyped.
parse_openmetrics = cast(
    Callable[[str], Iterable[Metric]], openmetrics_parser.text_string_to_metric_families
)

GOLDEN = Path(__file__).parent / "golden" / "metrics.txt"


def test_the_golden_exposition() -> None:
    """A fixed world's exposition is the committed one: a change of contract shows in review."""
    text = render(samples(fixed_world(), fixed_diagnoses())).text.plain.decode()
    if not GOLDEN.exists():
        GOLDEN.write_text(text)
        pytest.fail("written anew: read the difference, then commit it")
    assert text == GOLDEN.read_text()


def test_the_golden_world_has_every_metric() -> None:
    """No metric of the catalogue is without a golden sample."""
    found = {sample.metric.name for sample in samples(fixed_world(), fixed_diagnoses())}
    assert found == {metric.name for metric in metrics.CATALOGUE}


@given(
    values=st.dictionaries(
        st.tuples(*[st.text()] * 4),
        st.one_of(st.floats(), st.integers(-(2**60), 2**60).map(float)),
        max_size=5,
    )
)
def test_it_writes_what_prometheus_client_writes(
    values: dict[tuple[str, ...], float],
) -> None:
    """Any label values and numbers come out as prometheus_client would write them."""
    values = {
        tuple(v.encode("utf-8", "replace").decode() for v in labels): n
        for labels, n in values.items()
    }
    names = metrics.FLOW_RECORDS.labels
    ours = render(
        metrics.FLOW_RECORDS(value, **dict(zip(names, labels, strict=True)))
        for labels, value in values.items()
    )
    family = CounterMetricFamily(
        metrics.FLOW_RECORDS.name.removesuffix("_total"), metrics.FLOW_RECORDS.help, labels=names
    )
    for labels, value in values.items():
        family.add_metric(list(labels), value)

    class Collector:
        def collect(self) -> list[Metric]:
            return [family] if values else []

    registry = CollectorRegistry()
    registry.register(Collector())
    theirs = generate_latest(registry).decode()
    assert _parsed(theirs) == _parsed(ours.text.plain.decode())
    assert _comments(theirs) == _comments(ours.text.plain.decode())


def _comments(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("#")]


def _parsed(text: str) -> list[tuple[str, str]]:
    return sorted(
        (repr(sorted(s.labels.items())), repr(s.value))
        for family in parse_text(text)
        for s in family.samples
    )


def test_both_formats_parse() -> None:
    """prometheus_client reads back the same from the text and the OpenMetrics format."""
    both = render(samples(fixed_world(), fixed_diagnoses()), process_families())
    text = {
        (s.name, *sorted(s.labels.items())): s.value
        for f in parse_text(both.text.plain.decode())
        for s in f.samples
    }
    openmetrics = {
        (s.name, *sorted(s.labels.items())): s.value
        for f in parse_openmetrics(both.openmetrics.plain.decode())
        for s in f.samples
    }
    assert text == openmetrics
    assert len(text) > len(metrics.CATALOGUE)
    assert gzip.decompress(both.text.gzip) == both.text.plain
    assert gzip.decompress(both.openmetrics.gzip) == both.openmetrics.plain


def test_promtool_has_nothing_to_say(program: Callable[[str], str]) -> None:
    """promtool's lint of names, types and help texts is silent."""
    body = render(samples(fixed_world(), fixed_diagnoses()), process_families()).text.plain
    command = [program("promtool"), "check", "metrics"]
    result = subprocess.run(command, input=body, capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/json", TEXT),
        (
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS,
        ),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=often", TEXT),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            "text/plain;version=1.0.0;q=0.4",
            OPENMETRICS,
        ),
    ],
)
def test_negotiation(accept: str, content_type: str) -> None:
    """The Accept header decides by its weights; text is the default."""
    assert render([]).negotiate(accept).content_type == content_type


def test_a_series_twice_is_a_bug() -> None:
    """Prometheus would refuse the scrape: better to fail here."""
    with pytest.raises(ValueError, match="twice"):
        render([metrics.STORE_OK(1), metrics.STORE_OK(0)])


def test_a_gauge_family_of_the_process() -> None:
    """The process's own metrics keep their types."""
    family = GaugeMetricFamily("process_open_fds", "Open files.", 3)
    assert "# TYPE process_open_fds gauge\nprocess_open_fds 3.0\n" in (
        render([], [family]).text.plain.decode()
    )


def test_while_one_source_takes_over_from_another() -> None:
    """A flow log that two sources report has one series: how far the slower one is behind."""
    world = fixed_world()
    (estate,) = world.estates
    sources = {
        "/vpc": SourceReport(("fl-0a1",), NOW - 30),
        "fl-0a1 insights": SourceReport(("fl-0a1",), NOW - 300),
        "fl-0a1 athena": SourceReport(("fl-0a1",), None),
    }
    estate = replace(estate, report=replace(estate.report, sources=sources))
    body = render(samples(replace(world, estates=(estate,))))
    series = parse_series(body.text.plain.decode())
    assert list(select(series, metrics.FLOW_LOG_BACKLOG.name).values()) == [300.0]


@pytest.mark.parametrize(
    ("statuses", "healthy"),
    [
        (["pass"], [1.0]),
        (["pass", "warn", "not_applicable"], [1.0]),
        (["pass", "unknown"], []),
        (["unknown", "fail"], [0.0]),
        (["not_applicable", "not_applicable"], []),
        ([], []),
    ],
)
@pytest.mark.parametrize("of", [ENDPOINT, SERVICE], ids=["endpoint", "service"])
def test_health(
    of: Endpoint | EndpointService, statuses: list[Status], healthy: list[float]
) -> None:
    """Health is 1 or 0 only where it is known; how many checks have a status always is."""
    found = diagnosis(of, *(Finding(f"c{i}", status, "") for i, status in enumerate(statuses)))
    series = parse_series(render(samples(fixed_world(), [found])).text.plain.decode())
    kinds = {
        "endpoint": (metrics.ENDPOINT_HEALTHY, metrics.ENDPOINT_CHECKS),
        "service": (metrics.SERVICE_HEALTHY, metrics.SERVICE_CHECKS),
    }
    health, checks = kinds[found.kind]
    assert list(select(series, health.name).values()) == healthy
    counts = {dict(k)["status"]: v for k, v in select(series, checks.name).items()}
    assert counts == {
        status: statuses.count(status) for status in ("pass", "warn", "fail", "unknown")
    }


def test_a_check_that_occurs_twice_is_one_series() -> None:
    """The provider's check may have the name of the endpoint's own; a series occurs once."""
    found = [Finding("zones", s, "") for s in ("warn", "unknown", "unknown", "pass")]
    body = render(samples(fixed_world(), [diagnosis(PENDING, *found)])).text.plain.decode()
    problems = select(parse_series(body), metrics.ENDPOINT_CHECK_PROBLEM.name)
    assert sorted(dict(labels)["status"] for labels in problems) == ["unknown", "warn"]


def test_a_configured_port_is_named() -> None:
    """Rejects at a port that the configuration says is served are not among the others."""
    told = parse("endpoints: [{match: {id: vpce-0a1}, ports: [8443]}]", "test").endpoints
    body = render(samples(replace(fixed_world(), configured=told))).text.plain.decode()
    found = select(parse_series(body), metrics.FLOW_REJECTS_RECENT.name)
    assert {dict(k)["port"]: v for k, v in found.items()} == {
        "443": 7, "8080": 0, "8443": 2, "other": 1
    }  # fmt: skip
