"""Every fix of the organisation, pasted with the AWS CLI, makes its check pass; none opens more."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.organisation import organisation
from exporter.simulator.records import STRANGER
from exporter.simulator.state import Scenario
from tests.harness import SimulatorProcess, run, simulator, until
from tests.pasting import Command, Shell, commands

Json = Any
SCENARIOS = {name: s for name, s in organisation().scenarios.items() if s.check}
# Where no command mends it: by whom or where it is to be mended.
BY_HAND = {
    "all-unhealthy": "the targets",
    "no-listener": "the console: which target group is meant is not known",
    "service-failed": "AWS, or the service anew",
    "partial": "the resources of the service network",
    "stuck-pending": "AWS, or the endpoint anew",
    "unknown-state": "nobody",
    "foreign-answer": "the zone or rule that answers, which the commands list",
    "names-lost": "the zone or rule that answers, which the commands list",
    "to-all-unhealthy": "the targets",
    "to-no-listener": "the console: which target group is meant is not known",
}
MENDED = sorted(SCENARIOS.keys() - BY_HAND)
ORDER = ["pass", "not_applicable", "warn", "unknown", "fail"]
# Ids as AWS gives them; ARNs of what has no id.
ID = re.compile(
    r"(?:acl|eni|rtb|sg|subnet|vpc|vpce|vpce-svc)-[0-9a-f]{17}|pl-[0-9a-f]{8,17}"
    r"|arn:aws:elasticloadbalancing:[a-z0-9-]+:\d{12}:[a-z]+/[A-Za-z0-9/-]+"
)
TAKES_IDS = re.compile(r"--(?:(?:add|remove)-)?[a-z-]*(?:id|ids|arn)")


@dataclass
class Pasted:
    """What was judged before and after each command was pasted once."""

    before: dict[str, Json]
    after: dict[str, Json]
    commands: list[Command]
    ended: dict[Command, tuple[int, str]]
    # Rejected and accepted at the endpoints from then on: by id, by action, how many records.
    traffic: dict[str, dict[str, list[int]]]
    subnets: list[str]


def diagnose(aws: SimulatorProcess, config: Path) -> dict[str, Json]:
    ended = run(aws.environment, "diagnose", f"--config.file={config}", "--output=json")
    assert ended.returncode == 1, ended.stderr
    return {result["id"]: result for result in json.loads(ended.stdout)["results"]}


def fixes(results: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield each fix and in which account what it is for is."""
    for result in results.values():
        for check in result["checks"]:
            if check["fix"]:
                yield check["fix"], result["account"]


@pytest.fixture(scope="module")
def pasted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pasted]:
    """The organisation, judged, mended by what is said to mend it, and judged again."""
    directory = tmp_path_factory.mktemp("fixes")
    program = shutil.which("aws")
    if program is None:
        pytest.skip("aws is missing: see what tests/programs.sh would install")
    with simulator("--world", "organisation", "--speed", "300") as aws:
        config = aws.organised(directory / "config.yaml")
        seen = {i for i, what in aws.about["broken"].items() if re.search("ACL|group", what)}
        seen &= {s["id"] for s in aws.about["scenarios"].values() if s["kind"] == "endpoint"}
        until(lambda: len(seen & aws.control("truth")["totals"].keys()) >= 5, 60)
        aws.control("clock", {"running": False})
        time.sleep(1.5)
        before = diagnose(aws, config)
        # What the fix of a private name says to publish.
        records = re.findall(r'^(\S+) TXT "(.+)"$', "\n".join(f for f, _ in fixes(before)), re.M)
        aws.control("records", {name: [f"TXT {value}"] for name, value in records})
        every = list(dict.fromkeys(c for fix, who in fixes(before) for c in commands(fix, who)))
        shell = Shell(program, aws.about["url"], aws.about["access_key"], directory)
        subnets = [
            block
            for account in sorted({r["account"] for r in before.values()})
            for region in ("eu-west-1", "us-east-1")
            for block in shell.answer(
                Command(
                    account,
                    f"aws ec2 describe-subnets --query Subnets[].CidrBlock --region {region}",
                )
            )
        ]
        with ThreadPoolExecutor(3) as pool:
            ended = dict(zip(every, pool.map(shell.paste, every), strict=True))
        since = time.time()
        aws.control("clock", {"running": True})
        time.sleep(4)
        aws.control("clock", {"running": False})
        time.sleep(1.5)
        after = diagnose(aws, config)
        yield Pasted(
            before,
            after,
            every,
            {c: (e.returncode, e.stdout + e.stderr) for c, e in ended.items()},
            aws.control(f"truth", None)["totals"],
            subnets,
        )


def status(results: dict[str, Json], scenario: Scenario) -> str:
    """Return how a scenario's check is; pass where nothing is told of it any more."""
    found = [
        c["status"]
        for c in results.get(scenario.id, {"checks": []})["checks"]
        if c["check"] == scenario.check
    ]
    return max(found, key=ORDER.index, default="pass")


def test_every_fix_is_told(pasted: Pasted) -> None:
    """What a scenario has is a command that changes something, or stands among what none mends."""
    for name, scenario in SCENARIOS.items():
        found = [c for c in pasted.before[scenario.id]["checks"] if c["check"] == scenario.check]
        told = [
            c for check in found for c in commands(check["fix"], scenario.account) if c.changes
        ]
        assert bool(told) == (name not in BY_HAND), (name, found)


def test_every_command_is_taken(pasted: Pasted) -> None:
    """The CLI takes each line as it is, and AWS does what it says."""
    assert {c: said for c, said in pasted.ended.items() if said[0]} == {}
    assert len(pasted.commands) > 30


@pytest.mark.parametrize("name", MENDED)
def test_the_fix_makes_its_check_pass(pasted: Pasted, name: str) -> None:
    """What failed or warned before its commands were pasted passes afterwards."""
    scenario = SCENARIOS[name]
    assert status(pasted.before, scenario) == scenario.status
    assert status(pasted.after, scenario) == "pass", pasted.after.get(scenario.id)
