"""`demo` as a user runs it, scraped by a real Prometheus."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter import metrics as m
from tests.harness import free_port, prometheus, until

ROOT = Path(__file__).parent.parent
NONSENSE = {
    "AWS_PROFILE": "nonsense",
    "AWS_REGION": "nowhere-1",
    "AWS_DEFAULT_REGION": "nowhere-2",
    "AWS_ACCESS_KEY_ID": "nonsense",
    "AWS_ENDPOINT_URL_EC2": "http://192.0.2.1",
    "AWS_ENDPOINT_URL": "http://192.0.2.2",
    "AWS_CA_BUNDLE": "/nowhere",
    "AWS_MAX_ATTEMPTS": "many",
    "HTTP_PROXY": "http://192.0.2.3:8080",
}


@contextmanager
def demo(
    tmp_path: Path, environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the demo; yields the process and its URL once it is ready."""
    port = free_port()
    output = tmp_path / "demo.log"
    with output.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "demo", f"--web.listen-address=127.0.0.1:{port}"],
            env={**os.environ, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        until(lambda: "Ctrl-C ends it" in output.read_text() or process.poll() is not None)
        assert process.poll() is None, output.read_text()
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def readme_queries() -> list[str]:
    """Return the queries that the README begins with."""
    block = (ROOT / "README.md").read_text().partition("```promql\n")[2].partition("```")[0]
    found = [q.strip() for q in re.split(r"^#.*$", block, flags=re.MULTILINE)]
    queries = [q for q in found if q]
    assert len(queries) == 8
    return queries


def which(result: list[dict[str, Any]]) -> set[str]:
    """Return the endpoints that a query's result is about."""
    return {series["metric"]["endpoint_id"] for series in result}


@pytest.mark.timeout(180)
def test_prometheus_sees_the_rejects(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Prometheus scrapes the demo each second and sees REJECT rise where the group is closed."""
    with demo(tmp_path, NONSENSE) as (process, url):
        endpoints = httpx.get(f"{url}/api/v1/endpoints").json()["endpoints"]
        ids = {e["name"]: e["id"] for e in endpoints}
        closed, healthy = ids["sg-toggled"], ids["secrets"]
        with prometheus(program("prometheus"), tmp_path, url.removeprefix("http://")) as query:
            promql = (
                f'increase({m.FLOW_RECORDS.name}{{action="REJECT",endpoint_id="{closed}"}}[1m]) > 0'
            )
            until(lambda: query(promql), timeout=90, what=promql)
            states = query(f"{m.ENDPOINT_STATE.name} == 1")
            assert len(states) == len(endpoints) == 61
            wrong = query(f'{m.DNS_ANSWERS_MATCH.name}{{name_kind="private"}} == 0')
            assert {ids["foreign-answer"], ids["dns-hostnames-off"]} <= which(wrong)
            uncovered = query(f"{m.FLOW_COVERAGE_RATIO.name} == 0")
            assert which(uncovered) == {
                ids[name] for name in ("no-flow-log", "flow-log-failed", "flow-log-accept-only")
            }
            quiet = f'{m.FLOW_RECORDS.name}{{action="REJECT",endpoint_id="{healthy}"}} == 0'
            until(lambda: query(quiet), timeout=30, what=quiet)
            dead = f'sum by (service_id) ({m.SERVICE_TARGETS.name}{{state="healthy"}}) == 0'
            assert query(dead)
            assert query("up == 1")
            # Every query of the README has an answer here, but for collectors: these see all.
            for promql in readme_queries():
                assert bool(query(promql)) == ("collector_up" not in promql), promql
        output = (tmp_path / "demo.log").read_text()
        for name in ("sg-toggled", "nacl-return", "rejected", "to-nlb-closed"):
            assert ids[name] in output
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 0
        assert "Traceback" not in (tmp_path / "demo.log").read_text()
    # The simulator is gone with it.
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
