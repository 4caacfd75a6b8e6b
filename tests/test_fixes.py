"""Every fix of the organisation, pasted with the AWS CLI, makes its check pass; none opens more."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.organisation import organisation
from exporter.simulator.records import STRANGER
from exporter.simulator.state import Scenario, World
from tests.conftest import found_program
from tests.harness import SimulatorProcess, run, simulator, until
from tests.pasting import Command, Shell, commands

Json = Any
# The same one that the simulator makes of the same seed.
WORLD: World = organisation()
SCENARIOS: Mapping[str, Scenario] = {n: s for n, s in WORLD.scenarios.items() if s.check}
# Where no command mends it: who or what does.
BY_HAND = {
    "all-unhealthy": "the targets",
    "to-all-unhealthy": "the targets",
    "no-listener": "the console: which target group is meant cannot be seen",
    "to-no-listener": "the console: which target group is meant cannot be seen",
    "foreign-answer": "the zone or rule that answers, which the commands list",
    "names-lost": "the zone or rule that answers, which the commands list",
    "partial": "the resources of the service network",
    "service-failed": "AWS, or a new service",
    "stuck-pending": "AWS, or a new endpoint",
    "unknown-state": "nobody",
}
MENDED = sorted(SCENARIOS.keys() - BY_HAND)
# Whose clients are rejected until it is mended.
REJECTED = ("sg-other-group", "client-egress-closed", "nacl-inbound", "nacl-return")
# From well to ill.
ORDER = ("pass", "not_applicable", "warn", "unknown", "fail")
RECORD = re.compile(r'^(\S+) TXT "(.+)"$', re.MULTILINE)
# Ids as AWS gives them; ARNs of what has no id.
ID = re.compile(
    r"(?:acl|eni|rtb|sg|subnet|vpc|vpce|vpce-svc)-[0-9a-f]{17}"
    r"|arn:aws:elasticloadbalancing:[a-z0-9-]+:\d{12}:[a-z]+/[A-Za-z0-9/-]+"
    r"|arn:aws:iam::\d{12}:role/flow-logs"
)
TAKES_IDS = re.compile(r"--(?:add-|remove-)?[a-z-]+-(?:id|ids|arn)")


@dataclass(frozen=True)
class Pasted:
    """What was judged before and after each command was pasted once, and how each ended."""

    before: Mapping[str, Json]
    after: Mapping[str, Json]
    ended: Mapping[Command, tuple[int, str]]
    # How many records there were from then on, by endpoint and action.
    counted: Mapping[str, Json]


@pytest.fixture(scope="module")
def pasted(tmp_path_factory: pytest.TempPathFactory) -> Pasted:
    """The organisation, judged, mended by what is said to mend it, and judged again."""
    directory = tmp_path_factory.mktemp("fixes")
    program = found_program("aws")
    with simulator("--world", "organisation", "--speed", "300") as aws:
        config = aws.organised(directory / "config.yaml")
        _run_clock(aws, "sg-toggled", "to-nlb-closed", "to-wrong-listener", "nacl-return")
        before = _diagnose(aws, config)
        told = list(_fixes(before.values()))
        # What is to be published before a name can be proven.
        records = RECORD.findall("\n".join(fix for fix, _ in told))
        aws.control("records", {name: [f"TXT {value}"] for name, value in records})
        every = list(dict.fromkeys(c for fix, account in told for c in commands(fix, account)))
        shell = Shell(program, aws.about["url"], aws.about["access_key"], directory)
        with ThreadPoolExecutor(3) as pool:
            codes = pool.map(shell.paste, every)
            ended = dict(zip(every, map(_end, codes), strict=True))
        after = _diagnose(aws, config)
        return Pasted(before, after, ended, _run_clock(aws, *REJECTED, since=time.time()))


def _end(process: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return process.returncode, process.stdout + process.stderr


def _run_clock(aws: SimulatorProcess, *names: str, since: float = 0) -> Json:
    """Make traffic until each scenario has records that began since, and return how many."""
    ids = {SCENARIOS[name].id for name in names}

    def totals() -> Json:
        return aws.control("truth", {"since": since})["totals"]

    aws.control("clock", {"running": True})
    until(lambda: ids <= totals().keys(), 60)
    aws.control("clock", {"running": False})
    return totals()


def _diagnose(aws: SimulatorProcess, config: Path) -> dict[str, Json]:
    ended = run(aws.environment, "diagnose", f"--config.file={config}", "--output=json")
    assert ended.returncode == 1, ended.stderr
    return {result["id"]: result for result in json.loads(ended.stdout)["results"]}


def _fixes(results: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """Yield each fix, and in which account what it is for is."""
    for result in results:
        for check in result["checks"]:
            if check["fix"]:
                yield check["fix"], result["account"]


def _checks(results: Mapping[str, Json], scenario: Scenario) -> list[Json]:
    """Return what is told of a scenario's check: a provider's that is well is not told of."""
    checks = results[scenario.id]["checks"] if scenario.id in results else ()
    return [check for check in checks if check["check"] == scenario.check]


def _worst(checks: Iterable[Json]) -> str:
    return max((check["status"] for check in checks), key=ORDER.index, default="pass")


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_mends_a_fault_is_told(pasted: Pasted, name: str) -> None:
    """Where a command can mend it the fix has one that does more than look; else it has none."""
    scenario = SCENARIOS[name]
    found = _checks(pasted.before, scenario)
    assert _worst(found) == scenario.status
    pastes = [c for check in found for c in commands(check["fix"], scenario.account) if c.changes]
    assert bool(pastes) == (name not in BY_HAND), found


def test_every_command_is_taken(pasted: Pasted) -> None:
    """The CLI reads each line as it is, and AWS refuses none; what AWS could not do it says."""
    assert len(pasted.ended) > len(MENDED)
    for command, (code, said) in pasted.ended.items():
        assert code == 0, f"{command.line}\n{said}"
        assert not json.loads(said or "{}").get("Unsuccessful"), f"{command.line}\n{said}"


@pytest.mark.parametrize("name", MENDED)
def test_the_fix_makes_its_check_pass(pasted: Pasted, name: str) -> None:
    """What failed, or warned, passes once the commands are pasted, or is there no more."""
    assert _worst(_checks(pasted.after, SCENARIOS[name])) == "pass"


def test_no_fix_makes_anything_worse(pasted: Pasted) -> None:
    """No check is worse than before; what no command mends still fails."""
    for name, result in pasted.after.items():
        was: dict[str, str] = {}
        for check in pasted.before[name]["checks"]:
            was[check["check"]] = max(
                was.get(check["check"], "pass"), check["status"], key=ORDER.index
            )
        for check in result["checks"]:
            before = was.get(check["check"], "pass")
            assert ORDER.index(check["status"]) <= ORDER.index(before), (result["name"], check)
    failing = {name for name, result in pasted.after.items() if result["verdict"] == "fail"}
    assert failing == {SCENARIOS[name].id for name in BY_HAND if SCENARIOS[name].status == "fail"}


@pytest.mark.parametrize("name", REJECTED)
def test_packets_pass_once_it_is_mended(pasted: Pasted, name: str) -> None:
    """What was rejected at the endpoint is accepted, by the rules as the simulator reads them."""
    assert pasted.counted[SCENARIOS[name].id].keys() == {"ACCEPT"}


def test_commands_name_what_is_there(pasted: Pasted) -> None:
    """Each has ids of the right form, of what the organisation has, and the Region."""
    regions = {row["RegionName"] for row in WORLD.regions}
    known = {
        str(value)
        for tables in WORLD.tables.values()
        for rows in tables.values()
        for row in rows
        for value in row.values()
    }
    for command in pasted.ended:
        assert len(command.of("--region")) == 1, command.line
        assert {*command.of("--region")} <= regions, command.line
        for option in [word for word in command.words if TAKES_IDS.fullmatch(word)]:
            for value in command.of(option):
                assert ID.fullmatch(value), (option, command.line)
                assert value in known, (option, command.line)


def _peers(command: Command) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield the kind of peer that a command lets pass, who it is, and at which ports."""
    for permission in json.loads("".join(command.of("--ip-permissions")) or "[]"):
        ports = (permission["FromPort"], permission["ToPort"])
        for member in permission.keys() - {"IpProtocol", "FromPort", "ToPort"}:
            for peer in permission[member]:
                (who,) = peer.values()
                yield member, who, ports
    for block in (*command.of("--cidr-block"), *command.of("--ipv6-cidr-block")):
        first, last = re.findall(r"\d+", command.of("--port-range")[0])
        yield "entry", block, (int(first), int(last))


def _openings(pasted: Pasted) -> Iterator[tuple[Command, str, str, tuple[int, int]]]:
    for result in (pasted.before, pasted.after):
        for fix, account in _fixes(result.values()):
            for command in commands(fix, account):
                for kind, who, ports in _peers(command):
                    yield command, kind, who, ports


def test_nothing_is_opened_to_others(pasted: Pasted) -> None:
    """A fix lets in the organisation's own groups and subnets, at the port, and nobody else.

    Out to AWS's own prefix lists, which gateway endpoints are for; nothing else either.
    """
    subnets = [
        ip_network(s["CidrBlock"]) for t in WORLD.tables.values() for s in t.get("Subnets", ())
    ]
    groups = {g["GroupId"] for t in WORLD.tables.values() for g in t.get("SecurityGroups", ())}
    lists = {
        p["PrefixListId"]
        for t in WORLD.tables.values()
        for p in t.get("ManagedPrefixLists", ())
        if p["OwnerId"] == "AWS"
    }

    def ours(block: str) -> bool:
        return any(ip_network(block).subnet_of(subnet) for subnet in subnets)  # type: ignore[arg-type]

    told: Mapping[str, Callable[[str], bool]] = {
        "IpRanges": ours,
        "entry": ours,
        "UserIdGroupPairs": groups.__contains__,
        "PrefixListIds": lists.__contains__,
    }
    kinds = set()
    for command, kind, who, ports in _openings(pasted):
        kinds.add(kind)
        assert told[kind](who), command.line
        back = kind == "entry" and "--egress" in command.words
        assert ports == ((1024, 65535) if back else (443, 443)), command.line
        assert kind != "PrefixListIds" or command.words[2].endswith("-egress"), command.line
    assert kinds == set(told)


def test_a_stranger_is_seen_and_not_let_in(pasted: Pasted) -> None:
    """Beside clients that are to be let in, whoever scans the same port is told of as unknown."""
    for name in ("sg-port-missing", "scanned"):
        found = pasted.before[WORLD.scenarios[name].id]
        (rejects,) = [c for c in found["checks"] if c["check"] == "flow_rejects"]
        said = [text for text in rejects["evidence"] if STRANGER in text]
        assert said
        assert all(text.endswith("unknown source: do not open") for text in said)
    for fix, _ in _fixes([*pasted.before.values(), *pasted.after.values()]):
        assert STRANGER not in fix
