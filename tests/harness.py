"""Real processes for the tests: the simulator, the exporter; and how to read metrics."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

T = TypeVar("T")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def until(condition: Callable[[], T], timeout: float = 30, what: str = "") -> T:
    """Return the condition's first true result; fails after the timeout."""
    end = time.monotonic() + timeout
    result: T | None
    while True:
        try:
            result = condition()
        except httpx.TransportError:
            result = None  # not listening yet
        if result:
            return result
        assert time.monotonic() < end, f"not within {timeout} s: {what or condition}"
        time.sleep(0.1)


@dataclass
class SimulatorProcess:
    """A running simulator."""

    about: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.about["url"],
            "AWS_ACCESS_KEY_ID": self.about["access_key"],
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_REGION": "eu-west-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def config(self, path: Path, extra: str = "") -> Path:
        # The demo's one resolver answers for every VPC, the organisation has one for each.
        resolvers = [
            {"address": f"127.0.0.1:{self.about['dns_port']}", "vpcs": self.about["vpc_ids"]}
        ]
        if self.about["scenarios"]:
            resolvers = self.about["resolvers"]
        lines = "".join(
            f"      - {{address: '{r['address']}', vpcs: [{', '.join(r['vpcs'])}]}}\n"
            for r in resolvers
        )
        path.write_text(
            "collectors:\n  inventory: {interval: 500ms}\n"
            "  flow_logs: {interval: 500ms, lookback: 5m}\n  changes: {interval: 1s}\n"
            f"  dns:\n    interval: 1s\n    resolvers:\n{lines}{extra}"
        )
        return path

    def organised(self, path: Path, extra: str = "") -> Path:
        """Write a configuration for the whole organisation; each VPC's own resolver is asked."""
        resolvers = "".join(
            f"      - {{address: '{r['address']}', vpcs: [{', '.join(r['vpcs'])}]}}\n"
            for r in self.about["resolvers"]
        )
        path.write_text(
            "organization: {role_name: privatelink-exporter, regions: all}\n"
            "collectors:\n  inventory: {interval: 1s}\n"
            "  flow_logs: {interval: 1s, lookback: 5m}\n  changes: {interval: 1s}\n"
            f"  dns:\n    interval: 1s\n    resolvers:\n{resolvers}{extra}"
        )
        return path

    def control(self, what: str, request: Any = None) -> Any:
        url = f"{self.about['url']}/_simulator/{what}"
        answer = httpx.get(url) if request is None else httpx.post(url, json=request)
        return answer.raise_for_status().json()

    def endpoint(self, word: str) -> str:
        """Return the id of the endpoint that is broken in that way."""
        broken: dict[str, str] = self.about["broken"]
        return next(i for i, what in broken.items() if word in what)


@contextmanager
def simulator(*flags: str) -> Iterator[SimulatorProcess]:
    """Run the simulator."""
    child = subprocess.Popen(
        [sys.executable, "-m", "exporter.simulator", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout
        yield SimulatorProcess(json.loads(child.stdout.readline()))
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream:
                stream.close()


@dataclass
class ExporterProcess:
    """A running exporter."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers)

    def json(self, path: str) -> Any:
        return self.get(path).raise_for_status().json()

    def alive(self) -> bool:
        return self.get("/-/healthy").status_code == 200

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.get("/-/ready").status_code == 200

    def series(self) -> Series:
        return parse_series(self.get("/metrics").raise_for_status().text)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


@contextmanager
def exporter(
    environment: Mapping[str, str],
    directory: Path,
    *arguments: str,
    through: Sequence[str] = (),
) -> Iterator[ExporterProcess]:
    """Run the exporter on a free port; its state and log are in the directory.

    `through` is a command that becomes the one that follows it.
    """
    port = free_port()
    log = directory / "exporter.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [
                *through,
                sys.executable,
                "-m",
                "exporter",
                "serve",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.path={directory / 'state'}",
                *arguments,
            ],
            env=dict(environment),
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        yield ExporterProcess(process, f"http://127.0.0.1:{port}", log)
    finally:
        process.kill()
        process.wait()


@contextmanager
def prometheus(
    binary: str, tmp_path: Path, target: str, how: str = ""
) -> Iterator[Callable[[str], list[dict[str, object]]]]:
    """Run Prometheus on the target, each second; yields a function that queries it.

    `how` has further keys of the scrape configuration, indented by two.
    """
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: privatelink\n"
        f"  static_configs: [{{targets: ['{target}']}}]\n{how}"
    )
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )

    def query(promql: str) -> list[dict[str, object]]:
        answer = httpx.get(f"http://{address}/api/v1/query", params={"query": promql})
        answer.raise_for_status()
        result: list[dict[str, object]] = answer.json()["data"]["result"]
        return result

    try:
        until(lambda: httpx.get(f"http://{address}/-/ready").status_code == 200)
        yield query
    finally:
        process.terminate()
        process.wait(timeout=10)


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the exporter's command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def parse_series(text: str) -> Series:
    """Return each series' value, by name and labels."""
    return {
        (s.name, frozenset(s.labels.items())): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def select(series: Series, name: str, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
    """Return the series of a metric that have these labels, by all of their labels."""
    wanted = set(labels.items())
    return {found: v for (n, found), v in series.items() if n == name and wanted <= found}
