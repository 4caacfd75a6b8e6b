"""The daemon as a process: what it shows, and what it shows when it cannot see."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from exporter import metrics as m
from tests.harness import (
    ExporterProcess,
    Series,
    SimulatorProcess,
    exporter,
    run,
    select,
    simulator,
    until,
)

FLOW_COUNTERS = (m.FLOW_RECORDS, m.FLOW_BYTES, m.FLOW_PACKETS, m.FLOW_REJECTED_CONNECTIONS)


@pytest.fixture(scope="module")
def quiet() -> Iterator[SimulatorProcess]:
    """A simulator without traffic, for all tests of this file that only look."""
    with simulator("--no-clock") as running:
        yield running


@pytest.fixture
def aws(quiet: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """The quiet simulator, healthy again afterwards."""
    yield quiet
    quiet.control("faults", [])


def states(series: Series) -> dict[str, str]:
    return {
        dict(labels)["endpoint_id"]: dict(labels)["state"]
        for labels, value in select(series, m.ENDPOINT_STATE.name).items()
        if value == 1
    }


def up(series: Series) -> dict[str, float]:
    found = select(series, m.COLLECTOR_UP.name)
    return {dict(labels)["collector"]: value for labels, value in found.items()}


def settled(running: ExporterProcess) -> Series:
    """Return the metrics once every collector has ended a pass after all were ready."""
    until(running.ready, what="ready")
    time.sleep(1.5)
    return running.series()


def test_states_and_names_of_every_endpoint(aws: SimulatorProcess, tmp_path: Path) -> None:
    """Each endpoint has its state, and each of its kinds of names what the resolver says."""
    config = aws.config(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        series = settled(running)
        found = states(series)
        pending, rejected = aws.endpoint("pendingAcceptance"), aws.endpoint("rejected:")
        public = aws.endpoint("public")
        assert len(found) == 6
        assert found.pop(pending) == "pending_acceptance"
        assert found.pop(rejected) == "rejected"
        assert set(found.values()) == {"available"}
        assert set(up(series).values()) == {1.0}
        matches = select(series, m.DNS_ANSWERS_MATCH.name)
        assert len(matches) == 4 * 3 + 2 * 2
        wrong = {
            (dict(labels)["endpoint_id"], dict(labels)["name_kind"])
            for labels, value in matches.items()
            if value == 0
        }
        assert wrong == {
            (public, "private"),
            *((e, kind) for e in (pending, rejected) for kind in ("regional", "zonal")),
        }
        problems = {
            (dict(labels)["endpoint_id"], dict(labels)["problem"])
            for labels in select(series, m.DNS_NAME_PROBLEM.name)
        }
        assert problems == {
            (public, "public_address"),
            (pending, "nxdomain"),
            (rejected, "nxdomain"),
        }
        dark = aws.endpoint("no flow log")
        assert not any(select(series, c.name, endpoint_id=dark) for c in FLOW_COUNTERS)
        assert set(select(series, m.FLOW_COVERAGE_RATIO.name, endpoint_id=dark).values()) == {0.0}
        zeros = select(series, m.FLOW_RECORDS.name, action="REJECT")
        assert len(zeros) == 5
        assert running.stop() == 0


def test_http(aws: SimulatorProcess, tmp_path: Path) -> None:
    """Formats, compression, page, API, health; a path that is not there is 404."""
    config = aws.config(tmp_path / "config.yaml")
    arguments = (f"--config.file={config}", "--web.telemetry-path=/m", "--log.format=json")
    with exporter(aws.environment, tmp_path, *arguments) as running:
        until(running.ready)
        plain = running.get("/m", **{"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        packed = running.get("/m", **{"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.text.startswith("# HELP privatelink_endpoint_info")
        openmetrics = running.get("/m", accept="application/openmetrics-text;version=1.0.0")
        assert openmetrics.text.endswith("# EOF\n")
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        assert running.get("/metrics").status_code == 404
        assert running.get("/-/healthy").status_code == 200
        endpoints = running.json("/api/v1/endpoints")["endpoints"]
        assert {e["name"] for e in endpoints} >= {"payments", "queue"}
        status = running.json("/api/v1/status")
        assert status["ready"]
        assert {c["collector"] for c in status["collectors"]} == {
            "accounts",
            "inventory",
            "dns",
            "flow_logs",
            "changes",
        }
        page = running.get("/")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "public_address" in page.text
        assert httpx.post(running.url + "/m").status_code == 405
        assert running.stop() == 0
        for line in running.log.read_text().splitlines():
            assert {"ts", "level", "msg"} <= json.loads(line).keys()


OPERATIONS = {
    ("ec2", "DescribeVpcEndpoints"): {"inventory", "dns", "flow_logs"},
    ("ec2", "DescribeNetworkInterfaces"): {"inventory", "flow_logs"},
    ("ec2", "DescribeVpcs"): {"inventory"},
    ("ec2", "DescribeVpcAttribute"): {"inventory"},
    ("ec2", "DescribeSubnets"): {"inventory"},
    ("ec2", "DescribeFlowLogs"): {"inventory", "flow_logs"},
    ("logs", "FilterLogEvents"): {"flow_logs"},
    ("cloudtrail", "LookupEvents"): {"changes"},
    ("sts", "GetCallerIdentity"): {"accounts"},
}


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_denied_from_the_start(
    aws: SimulatorProcess, tmp_path: Path, service: str, operation: str
) -> None:
    """What was never seen is absent: nothing is green, no counter is 0; collector_up tells."""
    aws.control("faults", [{"kind": "denied", "service": service, "operation": operation}])
    config = aws.config(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        series = settled(running)
        blind = OPERATIONS[service, operation]
        assert {c for c, value in up(series).items() if value == 0} == blind
        successes = {
            dict(labels)["collector"] for labels in select(series, m.COLLECTOR_LAST_SUCCESS.name)
        }
        assert successes.isdisjoint(blind)
        denied = select(series, m.AWS_REQUESTS.name, operation=operation, outcome="denied")
        assert sum(denied.values()) > 0
        if "flow_logs" in blind or "accounts" in blind:
            assert not any(select(series, c.name) for c in FLOW_COUNTERS)
        if operation in ("DescribeVpcEndpoints", "GetCallerIdentity"):
            assert not select(series, m.ENDPOINT_STATE.name)
            assert not select(series, m.DNS_ANSWERS_MATCH.name)
        else:
            assert len(states(series)) == 6
        if operation == "DescribeNetworkInterfaces":
            assert 1.0 not in select(series, m.DNS_ANSWERS_MATCH.name).values()
        if operation in ("DescribeNetworkInterfaces", "DescribeFlowLogs"):
            assert not select(series, m.FLOW_COVERAGE_RATIO.name)
        assert (
            "denied" in running.get("/").text
            or "Unauthorized" in running.get("/").text
            or ("AccessDenied" in running.get("/").text)
        )
        assert running.stop() == 0


def test_everything_denied_later(aws: SimulatorProcess, tmp_path: Path) -> None:
    """Denied after it was seen, what was seen stands for a while; collector_up tells at once."""
    config = aws.config(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        before = settled(running)
        aws.control("faults", [{"kind": "denied"}])
        until(lambda: up(running.series())["inventory"] == 0)
        after = running.series()
        assert states(after) == states(before)
        counters = [select(s, m.FLOW_RECORDS.name) for s in (before, after)]
        assert counters[0] == counters[1]
        aws.control("faults", [])
        until(lambda: set(up(running.series()).values()) == {1.0})


def test_a_dead_resolver_delays_no_other(aws: SimulatorProcess, tmp_path: Path) -> None:
    """The series of a resolver that does not answer fail; the other's are there before."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{silent.getsockname()[1]}"
        config = aws.config(tmp_path / "config.yaml", f"      - {{address: '{dead}'}}\n")
        with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
            live = f"127.0.0.1:{aws.about['dns_port']}"

            def answered(resolver: str) -> Series:
                found = select(running.series(), m.DNS_LOOKUP_SUCCESS.name, resolver=resolver)
                return {("", labels): value for labels, value in found.items()}

            first = until(lambda: answered(live))
            assert not answered(dead)
            assert 1.0 in first.values()
            last = until(lambda: answered(dead))
            assert set(last.values()) == {0.0}
            problems = select(running.series(), m.DNS_NAME_PROBLEM.name, resolver=dead)
            assert {dict(labels)["problem"] for labels in problems} == {"timeout"}


def test_names_are_not_asked_for(aws: SimulatorProcess, tmp_path: Path) -> None:
    """Switched off by a reload, no answer is left; the rest goes on."""
    config = aws.config(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        assert select(settled(running), m.DNS_ANSWERS_MATCH.name)
        aws.config(config, "    enabled: false\n")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: not select(running.series(), m.DNS_ANSWERS_MATCH.name))
        until(lambda: "dns" not in up(running.series()))
        time.sleep(1.5)
        series = running.series()
        assert set(up(series)) == {"accounts", "inventory", "flow_logs", "changes"}
        assert len(states(series)) == 6
        assert not any("dns" in name for name, _ in series)
        assert running.stop() == 0


def test_stopping_takes_no_time(aws: SimulatorProcess, tmp_path: Path) -> None:
    """SIGTERM ends it within five seconds, even while AWS answers nothing."""
    aws.control("faults", [{"kind": "timeout", "seconds": 8}])
    config = aws.config(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(lambda: running.get("/-/healthy").status_code == 200)
        assert running.get("/-/ready").status_code == 503
        time.sleep(1)
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5


def test_unreachable(aws: SimulatorProcess, tmp_path: Path) -> None:
    """With AWS unreachable it runs on and says so; a scrape is answered as ever."""
    environment = {**aws.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    environment["AWS_MAX_ATTEMPTS"] = "1"
    with exporter(environment, tmp_path) as running:
        until(lambda: up(running.series()).get("accounts") == 0)
        series = running.series()
        assert not select(series, m.ENDPOINT_INFO.name)
        assert "Could not connect" in running.get("/").text
        assert running.stop() == 0


def refuses(tmp_path: Path, environment: dict[str, str], *arguments: str) -> str:
    result = run(environment, "serve", f"--storage.path={tmp_path / 'state'}", *arguments)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_no_credentials(tmp_path: Path) -> None:
    """Without credentials it exits 1 and names the ways to give them."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    message = refuses(tmp_path, environment, "--web.listen-address=127.0.0.1:0")
    assert "No AWS credentials" in message
    assert "AWS_PROFILE" in message
    environment |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    assert "No AWS Region" in refuses(tmp_path, environment, "--web.listen-address=127.0.0.1:0")
    environment |= {"AWS_PROFILE": "nonsense"}
    assert "nonsense" in refuses(tmp_path, environment, "--web.listen-address=127.0.0.1:0")


def test_credentials_that_cannot_be_had(tmp_path: Path) -> None:
    """A broken credential_process is told, not shown as a traceback; a slow one can be stopped."""
    profile = tmp_path / "config"
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(profile),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for process in ("/does/not/exist", "echo nonsense"):
        profile.write_text(f"[default]\nregion=eu-west-1\ncredential_process={process}\n")
        message = refuses(tmp_path, environment, "--web.listen-address=127.0.0.1:0")
        assert "The AWS settings cannot be used" in message
    profile.write_text("[default]\nregion=eu-west-1\ncredential_process=sleep 20\n")
    with exporter(environment, tmp_path) as running:
        time.sleep(3)
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5


def test_a_port_in_use(aws: SimulatorProcess, tmp_path: Path) -> None:
    """A port in use is named with the remedy; so is an address that is none."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        message = refuses(tmp_path, aws.environment, f"--web.listen-address={address}")
    assert address in message
    assert "--web.listen-address" in message
    assert "no listen address" in refuses(
        tmp_path, aws.environment, "--web.listen-address=nonsense"
    )


def test_a_store_in_use(aws: SimulatorProcess, tmp_path: Path) -> None:
    """A second exporter on the same store exits 1; the first one runs on."""
    with exporter(aws.environment, tmp_path) as running:
        until(running.ready)
        message = refuses(tmp_path, aws.environment, "--web.listen-address=127.0.0.1:0")
        assert "in use by another exporter" in message
        assert running.series()


def test_a_bad_configuration(aws: SimulatorProcess, tmp_path: Path) -> None:
    """`check-config` and `serve` give every error at once, and exit 1; bad usage exits 2."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("acounts: []\nstorage: {path: 1}\n")
    checked = run(aws.environment, "check-config", str(bad))
    assert checked.returncode == 1
    assert checked.stderr.splitlines()[0].startswith(f"{bad}:1: acounts: unknown key")
    assert checked.stderr.splitlines()[1].startswith(f"{bad}:2: storage.path:")
    assert refuses(tmp_path, aws.environment, f"--config.file={bad}") == checked.stderr
    good = aws.config(tmp_path / "good.yaml")
    assert run(aws.environment, "check-config", str(good)).returncode == 0
    assert run(aws.environment, "--no.such.flag").returncode == 2
    assert "check-config" in run(aws.environment, "--help").stdout
    assert run(aws.environment, "--version").stdout.startswith("privatelink-exporter, version")
