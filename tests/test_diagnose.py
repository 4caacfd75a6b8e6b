"""What is wrong, said once by every way there is: API, metrics, page, command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter import metrics as m
from tests.harness import SimulatorProcess, exporter, run, select, simulator, until
from tests.test_demo import NONSENSE

Json = Any
RESULT = [
    "account", "region", "id", "kind", "name", "service_name", "vpc_id", "verdict", "root_cause",
    "checks",
]  # fmt: skip
FINDING = ["check", "status", "summary", "resources", "evidence", "fix"]


@dataclass
class Organisation:
    """The simulated organisation, and a configuration that watches it."""

    aws: SimulatorProcess
    config: Path

    def id(self, name: str) -> str:
        found: str = self.aws.about["scenarios"][name]["id"]
        return found

    def diagnose(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.aws.environment, **more}
        return run(environment, "diagnose", f"--config.file={self.config}", *arguments)

    def json(self, *arguments: str) -> Json:
        found = json.loads(self.diagnose("--output=json", *arguments).stdout)
        assert list(found) == ["generated_at", "results", "unavailable"]
        return found["results"]

    @contextmanager
    def denying(self, operation: str, account: str = "") -> Iterator[None]:
        fault = {"kind": "denied", "operation": operation, "account": account}
        self.aws.control("faults", [fault])
        try:
            yield
        finally:
            self.aws.control("faults", [])


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organisation]:
    with simulator("--world", "organisation", "--no-clock") as aws:
        config = aws.organised(tmp_path_factory.mktemp("diagnose") / "config.yaml")
        yield Organisation(aws, config)


def test_all_ways_say_the_same(organisation: Organisation, tmp_path: Path) -> None:
    """The endpoint that waits has its state as root cause in API, metrics, page and JSON alike."""
    waiting, orders = organisation.id("awaiting-acceptance"), organisation.id("orders")
    with exporter(
        organisation.aws.environment, tmp_path, f"--config.file={organisation.config}"
    ) as running:
        until(running.ready, 60)
        one = running.json(f"/api/v1/endpoints/{waiting}")
        several = {e["id"]: e for e in running.json("/api/v1/endpoints")["endpoints"]}
        service = running.json(f"/api/v1/services/{orders}")
        services = {s["id"]: s for s in running.json("/api/v1/services")["services"]}
        page, series = running.get("/").text, running.series()
    (told,) = organisation.json("awaiting-acceptance")
    assert list(told) == RESULT
    assert [list(check) for check in told["checks"]] == [FINDING] * len(told["checks"])
    assert (told["id"], told["kind"], told["verdict"]) == (waiting, "endpoint", "fail")
    cause = told["root_cause"]
    assert (cause["check"], cause["resources"][0]) == ("endpoint_state", waiting)
    assert cause in told["checks"]
    assert f"--vpc-endpoint-ids {waiting} --region eu-west-1" in cause["fix"]
    # The API.
    assert list(one["diagnosis"]) == ["verdict", "root_cause", "checks"]
    assert one["diagnosis"]["root_cause"]["fix"] == cause["fix"]
    assert [(c["check"], c["status"]) for c in one["diagnosis"]["checks"]] == [
        (c["check"], c["status"]) for c in told["checks"]
    ]
    brief = several[waiting]
    assert (brief["verdict"], brief["root_cause"]["check"]) == ("fail", "endpoint_state")
    assert brief["root_cause"]["summary"] == one["diagnosis"]["root_cause"]["summary"]
    assert services[orders]["verdict"] == service["verdict"] == service["diagnosis"]["verdict"]
    # The metrics.
    (healthy,) = select(series, m.ENDPOINT_HEALTHY.name, endpoint_id=waiting).values()
    assert healthy == 0
    named = {"endpoint_id": waiting, "check": "endpoint_state", "status": "fail"}
    assert len(select(series, m.ENDPOINT_CHECK_PROBLEM.name, **named)) == 1
    counts = select(series, m.ENDPOINT_CHECKS.name, endpoint_id=waiting)
    assert {dict(k)["status"]: v for k, v in counts.items()} == {
        status: sum(c["status"] == status for c in told["checks"])
        for status in ("pass", "warn", "fail", "unknown")
    }
    # What is being deleted is neither well nor ill.
    deleting = organisation.id("deleting")
    assert {c["status"] for c in organisation.json(deleting)[0]["checks"]} == {"not_applicable"}
    assert not select(series, m.ENDPOINT_HEALTHY.name, endpoint_id=deleting)
    # The page: what fails comes first.
    assert "endpoint_state: The provider has not accepted" in page
    order = [(several[i]["verdict"], page.index(f"/api/v1/endpoints/{i}")) for i in several]
    last_failing = max(place for verdict, place in order if verdict == "fail")
    assert all(place > last_failing for verdict, place in order if verdict == "pass")


def test_the_root_cause_comes_first(organisation: Organisation) -> None:
    """As text: the verdict, the root cause with its fix, then the checklist; and 1 in the end."""
    ended = organisation.diagnose("awaiting-acceptance")
    assert (ended.returncode, ended.stderr) == (1, "")
    first, *_ = ended.stdout.splitlines()
    assert first == f"FAIL  awaiting-acceptance {organisation.id('awaiting-acceptance')}"
    cause = ended.stdout.index("Root cause: endpoint_state")
    assert cause < ended.stdout.index("accept-vpc-endpoint-connections")
    assert cause < ended.stdout.index("Checks, in causal order:")
    assert "\x1b" not in ended.stdout
    # But for a word that is longer, which nothing may break.
    wide = [line for line in ended.stdout.splitlines() if len(line) > 80]
    assert all(len(line.split()) <= 2 for line in wide)


def test_without_arguments_everything_is_judged(organisation: Organisation, tmp_path: Path) -> None:
    """What fails in full, the others on a line each; as JSON all of it. Nothing is left behind.

    No queue is read: what one run took from it, the daemon would miss.
    """
    queues = ", ".join(f"'{url}'" for url in organisation.aws.about["queues"])
    changes = organisation.aws.about["queues"][0] + "-changes"
    text = organisation.config.read_text()
    (config := tmp_path / "config.yaml").write_text(
        text.replace("lookback: 5m}", f"lookback: 5m, notifications: [{queues}]}}").replace(
            "changes: {", f"changes: {{notifications: ['{changes}'], "
        )
    )
    (temporary := tmp_path / "temporary").mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", "diagnose", f"--config.file={config}"],
        env={
            **organisation.aws.environment,
            "TMPDIR": str(temporary),
            "PYTHONPATH": str(Path(__file__).parent.parent),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert not [name for name in organisation.aws.control("calls") if "Message" in name]
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "temporary"}
    assert list(temporary.iterdir()) == []
    results = organisation.json()
    assert {r["id"] for r in results} == {
        s["id"] for s in organisation.aws.about["scenarios"].values()
    }
    failing = [r for r in results if r["verdict"] == "fail"]
    assert ended.stdout.count("Root cause: ") == len(failing) > 0
    for result in results:
        assert result["id"] in ended.stdout


@pytest.mark.parametrize(
    ("denied", "arguments", "code", "said"),
    [
        ("", ("deleting",), 0, "NOT JUDGED"),
        ("", ("awaiting-acceptence",), 2, "Like it: awaiting-acceptance"),
        ("", ("unknown-state",), 3, "migrating"),
        ("DescribeVpcEndpoints", ("rejected",), 3, "endpoints: DescribeVpcEndpoints: Unauth"),
        ("GetCallerIdentity", (), 3, "GetCallerIdentity: AccessDenied"),
        ("AssumeRole", ("rejected",), 3, "222233334444"),
    ],
)
def test_the_exit_code_says_how_it_is(
    organisation: Organisation, denied: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """0 well, 1 a fault, 2 no such name, 3 not everything could be seen, and what that was."""
    with organisation.denying(denied) if denied else organisation.denying("Nothing"):
        ended = organisation.diagnose(*arguments)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    assert said in " ".join(ended.stdout.split())


def test_json_is_alone_on_standard_output(organisation: Organisation) -> None:
    """What was not found or seen is said beside it."""
    with organisation.denying("DescribeVpcEndpoints"):
        ended = organisation.diagnose("--output=json", "rejected")
    shown = json.loads(ended.stdout)
    assert shown["results"] == []
    assert {(x["part"], x["outcome"]) for x in shown["unavailable"]} == {("endpoints", "denied")}
    assert "It may be there: not everything could be seen." in ended.stderr
    assert ended.returncode == 3


def test_when_time_is_up(organisation: Organisation) -> None:
    """What has not ended its first pass is named, and is no reason to call anything well."""
    ended = organisation.diagnose("--timeout=1ms")
    assert ended.returncode == 3
    assert "accounts: the time ran out before its first pass" in ended.stdout


def test_it_could_not_run(organisation: Organisation, tmp_path: Path) -> None:
    """Without credentials, or with a configuration that has errors, it ends with 4."""
    bare = {k: v for k, v in organisation.aws.environment.items() if "KEY" not in k}
    ended = run(bare, "diagnose")
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "No AWS credentials" in ended.stderr
    bad = tmp_path / "bad.yaml"
    bad.write_text("endpoints: [{match: {}}]")
    ended = run(organisation.aws.environment, "diagnose", f"--config.file={bad}")
    assert ended.returncode == 4
    assert "endpoints[0].match" in ended.stderr
    assert run(bare, "diagnose", "--output=xml").returncode == 2
    assert run(bare, "diagnose", "--timeout=5").returncode == 2


def test_what_cannot_be_judged_has_no_health(organisation: Organisation, tmp_path: Path) -> None:
    """With an operation denied the series is absent, not 0 and not 1; what fails is known still."""
    well, gateway = organisation.id("secrets"), organisation.id("s3-gateway")
    waiting = organisation.id("awaiting-acceptance")
    with (
        organisation.denying("DescribeRouteTables"),
        exporter(
            organisation.aws.environment, tmp_path, f"--config.file={organisation.config}"
        ) as running,
    ):
        until(running.ready, 60)
        series = running.series()
    for one in (well, gateway):
        assert not select(series, m.ENDPOINT_HEALTHY.name, endpoint_id=one)
        named = {"endpoint_id": one, "check": "route", "status": "unknown"}
        assert list(select(series, m.ENDPOINT_CHECK_PROBLEM.name, **named).values()) == [1]
    assert list(select(series, m.ENDPOINT_HEALTHY.name, endpoint_id=waiting).values()) == [0]
    # Nobody's health hangs on a route but an endpoint's.
    assert 1 not in select(series, m.ENDPOINT_HEALTHY.name).values()
    assert 1 in select(series, m.SERVICE_HEALTHY.name).values()


def test_traffic_of_the_look_back_counts(tmp_path: Path) -> None:
    """A single run sees who was rejected before it began."""
    with simulator("--world", "organisation", "--speed", "300") as aws:
        scenario = aws.about["scenarios"]["sg-port-missing"]
        until(lambda: scenario["id"] in aws.control("truth")["totals"], 60)
        aws.control("clock", {"running": False})
        until(lambda: aws.control("truth")["pending"] == 0, 60)
        config = aws.organised(tmp_path / "config.yaml")
        ran = subprocess.run(
            [sys.executable, "-c", ONCE, str(config), scenario["id"]],
            env=aws.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        truth = aws.control("truth")["totals"][scenario["id"]]
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == truth["REJECT"][0]


ONCE = """
import asyncio, json, pathlib, sys
from exporter import config, runtime
found = asyncio.run(runtime.once(config.load(pathlib.Path(sys.argv[1])), 60, metadata=False))
site = next(s for s in found.facts.sites if sys.argv[2] in s.traffic)
traffic = site.traffic[sys.argv[2]]
assert traffic.read_to is not None
print(json.dumps(sum(r.count for r in traffic.rejected if r.side == "endpoint")), flush=True)
__import__("os")._exit(0)
"""


def test_the_demo_can_be_diagnosed(tmp_path: Path) -> None:
    """One command, no account, every AWS setting of the user ignored."""
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", "diagnose", "--demo", "rejected", "--output=json"],
        env={**os.environ, **NONSENSE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    (result,) = json.loads(ended.stdout)["results"]
    assert (result["name"], result["verdict"]) == ("rejected", "fail")
    both = run(os.environ, "diagnose", "--demo", f"--config.file={tmp_path / 'x'}")
    assert both.returncode in (2, 4)


def test_what_the_demo_needs_is_named() -> None:
    """Without its extra it ends with 4, and says how to install it: published or a checkout."""
    code = (
        "import sys; sys.modules['moto'] = None; from exporter.cli import main; "
        "main(['diagnose', '--demo'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 4, ended.stderr
    assert "pip install 'privatelink-exporter[demo]'" in ended.stderr
    assert "pip install '.[demo]'" in ended.stderr
