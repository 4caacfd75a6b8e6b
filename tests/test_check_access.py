"""Which calls AWS denies, said on the command line, with what to permit."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.access.operations import CHECKS
from exporter.simulator.organisation import CONSUMER, PROVIDER, ROLE
from tests.harness import SimulatorProcess, run, simulator
from tests.test_demo import NONSENSE

Json = Any


@dataclass
class Access:
    """The simulated organisation, and a configuration that watches it."""

    aws: SimulatorProcess
    config: Path

    def check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        named = f"--config.file={self.config}"
        return run(self.aws.environment, "check-access", named, *arguments)

    def fault(self, operation: str, account: str = "", kind: str = "denied") -> None:
        self.aws.control("faults", [{"kind": kind, "operation": operation, "account": account}])


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    with simulator("--world", "organisation", "--no-clock") as aws:
        yield Access(aws, aws.organised(tmp_path_factory.mktemp("access") / "config.yaml"))


@pytest.fixture
def access(organisation: Access) -> Iterator[Access]:
    """The organisation; a fault that a test makes ends with it."""
    yield organisation
    organisation.aws.control("faults", [])


def accounts(ended: subprocess.CompletedProcess[str]) -> dict[str, Json]:
    told = json.loads(ended.stdout)
    assert list(told) == ["generated_at", "accounts"]
    return {account["account"]: account for account in told["accounts"]}


def test_nothing_is_denied(access: Access) -> None:
    """Each account with its role; nothing to add, and 0 in the end."""
    ended = access.check("--output=json")
    assert (ended.returncode, ended.stderr) == (0, "")
    found = accounts(ended)
    assert found[CONSUMER]["role_arn"] == f"arn:aws:iam::{CONSUMER}:role/{ROLE}"
    for account in found.values():
        assert account["blind_checks"] == []
        assert account["policy"] is account["exporter_policy"] is account["trust_policy"] is None
        assert {o["status"] for o in account["operations"]} <= {"allowed", "untested"}
        assert {o["cause"] for o in account["operations"]} <= {None, "nothing", "off"}


def test_operations_are_denied(access: Access) -> None:
    """The action, AWS's words, the checks, and a policy that can be pasted; and 1 in the end."""
    access.fault("DescribeNetworkAcls", CONSUMER)
    ended = access.check()
    assert (ended.returncode, ended.stderr) == (1, "")
    text = ended.stdout
    assert "DENIED ec2:DescribeNetworkAcls in eu-west-1, us-east-1" in text
    assert "blind: network_acl" in text
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
    pasted = json.loads(text[text.index("\n{") : text.index("\n}") + 2])
    found = accounts(access.check("--output=json"))
    assert found[CONSUMER]["policy"] == pasted
    assert pasted["Statement"] == [
        {"Effect": "Allow", "Action": ["ec2:DescribeNetworkAcls"], "Resource": "*"}
    ]
    assert found[CONSUMER]["blind_checks"] == ["network_acl"]
    assert found[PROVIDER]["policy"] is None


def test_a_role_is_not_to_be_assumed(access: Access) -> None:
    """The account is shut: the exporter's permission, and whom the role has to trust."""
    access.fault("AssumeRole", PROVIDER)
    ended = access.check("--output=json")
    assert ended.returncode == 1
    account = accounts(ended)[PROVIDER]
    assert not account["assumable"]
    assert set(account["blind_checks"]) == set(CHECKS)
    role = f"arn:aws:iam::{PROVIDER}:role/{ROLE}"
    assert account["exporter_policy"]["Statement"][0]["Resource"] == role
    (statement,) = account["trust_policy"]["Statement"]
    # Who asks, by STS.
    assert statement["Principal"]["AWS"].startswith("arn:aws:iam::111122223333:")
    assert "The role cannot be assumed" in access.check().stdout


def test_what_was_throttled_may_be_denied(access: Access) -> None:
    """It is untested, with the reason; and 3 in the end."""
    access.fault("DescribeSubnets", kind="throttled")
    ended = access.check("--output=json")
    assert ended.returncode == 3
    told = [o for o in accounts(ended)[CONSUMER]["operations"] if o["cause"] == "throttled"]
    assert {o["operation"] for o in told} == {"DescribeSubnets"}
    assert {o["status"] for o in told} == {"untested"}


def test_when_time_is_up(access: Access) -> None:
    """What has not ended its first pass is named, and nothing is called allowed for that."""
    ended = access.check("--timeout=1ms")
    assert ended.returncode == 3
    assert "accounts: the time ran out before its first pass" in ended.stdout
    ended = access.check("--timeout=1ms", "--output=json")
    assert ended.returncode == 3
    # Whose the credentials are may have been asked already; nothing else was.
    assert {account["account"] for account in json.loads(ended.stdout)["accounts"]} <= {""}
    assert "accounts: the time ran out before its first pass" in ended.stderr


def test_queues_are_not_read_and_said_to_be_untested(access: Access, tmp_path: Path) -> None:
    """What one run took from a queue, the daemon would miss."""
    (files,) = access.aws.about["queues"]
    changes = f"{files}-changes"
    text = access.config.read_text().replace("5m}", f"5m, notifications: ['{files}']}}", 1)
    text = text.replace("changes: {", f"changes: {{notifications: ['{changes}'], ")
    (config := tmp_path / "config.yaml").write_text(text)
    environment = access.aws.environment
    ended = run(environment, "check-access", f"--config.file={config}", "--output=json")
    assert ended.returncode == 0, ended.stdout
    told = [
        operation
        for account in accounts(ended).values()
        for operation in account["operations"]
        if operation["aws_service"] == "sqs"
    ]
    assert {o["operation"] for o in told} == {"ReceiveMessage", "DeleteMessageBatch"}
    assert {(o["status"], o["cause"]) for o in told} == {("untested", "spared")}
    assert not [name for name in access.aws.control("calls") if "Message" in name]


def test_it_could_not_run(access: Access, tmp_path: Path) -> None:
    """Without credentials, or with a configuration that has errors, it ends with 4."""
    bare = {k: v for k, v in access.aws.environment.items() if "KEY" not in k}
    ended = run(bare, "check-access")
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "No AWS credentials" in ended.stderr
    (bad := tmp_path / "bad.yaml").write_text("accounts: [{}]\nno: 1\n")
    assert run(bare, "check-access", f"--config.file={bad}").returncode == 4
    assert run(bare, "check-access", "--output=xml").returncode == 2
    assert run(bare, "check-access", "vpce-0").returncode == 2
    assert run(bare, "check-access", "--demo", "--config.file=x").returncode in (2, 4)


def test_a_terminal_has_colours(access: Access) -> None:
    """What is denied is red there."""
    access.fault("DescribeNetworkAcls", CONSUMER)
    said = on_a_terminal(access.aws.environment, f"--config.file={access.config}")
    assert "\x1b[1;31m" in said
    assert "DENIED ec2:DescribeNetworkAcls" in said


def on_a_terminal(environment: Mapping[str, str], *arguments: str) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "check-access", *arguments],
        env={**environment, "TERM": "xterm", "COLUMNS": "100"},
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:
        pass  # the terminal is gone with its last user
    finally:
        os.close(ours)
    assert process.wait(30) == 1
    return said.decode()


def test_the_demo_can_be_checked() -> None:
    """One command, no account, every AWS setting of the user ignored."""
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", "check-access", "--demo"],
        env={**os.environ, **NONSENSE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    assert f"{CONSUMER}  arn:aws:iam::{CONSUMER}:role/{ROLE}" in ended.stdout
