"""Each operation denied by a simulated AWS is the one that the report names, and no other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from exporter.access.report import Access, access
from exporter.aws.accounts import Accounts
from exporter.aws.session import Aws
from exporter.config import parse
from exporter.flowlogs.ingest import Report
from exporter.model import Scope
from exporter.simulator.faults import Fault
from exporter.simulator.organisation import CONSUMER, ROLE
from exporter.world import CollectorStatus, Estate, World
from tests.aws.lists import PATIENT, REGION, collect, reaching
from tests.aws.test_accounts import finding
from tests.aws.test_faults import FEW, PARTS
from tests.harness import SimulatorProcess, simulator

CONFIG = parse(f"organization: {{role_name: {ROLE}, regions: [{REGION}]}}", "test")
OFF = frozenset({"flow_logs", "changes"})


@pytest.fixture(scope="module")
def running() -> Iterator[SimulatorProcess]:
    """The simulated organisation, with nothing denied."""
    with (
        pytest.MonkeyPatch.context() as patch,
        simulator("--world", "organisation", "--no-clock") as process,
    ):
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**process.environment, "AWS_DEFAULT_REGION": REGION}.items():
            patch.setenv(name, value)
        yield process


def seen(aws: Aws, *scopes: Scope) -> Access:
    """Return what may be asked, by one pass over these scopes."""
    estates, statuses = [], []
    for scope in scopes:
        found = collect(aws, scope, discovery=FEW.get(scope))
        estates.append(Estate(scope, found, None, (), Report()))
        status = CollectorStatus("inventory", scope, "", 1.0, 1.0, None, found.problems())
        statuses.append(status)
    world = World(1.0, "1", "3", tuple(estates), tuple(statuses), aws.requests())
    return access(world, CONFIG, OFF)


@pytest.mark.parametrize("operation", PARTS)
def test_one_operation_is_denied(running: SimulatorProcess, operation: str) -> None:
    """Its action is to be permitted, with AWS's own words; what waits for it says so."""
    _, scope = PARTS[operation]
    running.control("faults", [asdict(Fault("denied", operation=operation))])
    try:
        found = seen(reaching(scope), scope)
    finally:
        running.control("faults", [])
    (account,) = found.accounts
    (denied,) = [answer for answer in account.answers if answer.status == "denied"]
    assert denied.operation.name == operation
    assert denied.why.startswith(f"{operation}: ")
    assert account.policy
    assert [s["Action"] for s in account.policy["Statement"]] == [[denied.operation.grant.action]]
    assert {answer.cause for answer in account.answers} <= {"", "nothing", "off", "behind"}
    assert found.exit_code == 1


def test_nothing_is_denied(running: SimulatorProcess) -> None:
    """A consumer's and a provider's account: what one has nothing to ask for, the other asks."""
    found = seen(reaching(*FEW), *FEW)
    answers = [answer for account in found.accounts for answer in account.answers]
    allowed = {answer.operation.name for answer in answers if answer.status == "allowed"}
    assert allowed >= PARTS.keys()
    assert found.exit_code == 0


def test_a_role_is_not_to_be_assumed(running: SimulatorProcess) -> None:
    """The account is shut: who has to trust whom is said, for the organisation's role."""
    aws = Aws(config=PATIENT)
    running.control("faults", [asdict(Fault("denied", operation="AssumeRole", account=CONSUMER))])
    try:
        scopes = finding(Accounts(aws, lambda: 0.0, CONFIG, 0.0)).scopes
        found = seen(aws, *(scope for scope in scopes if scope.account == CONSUMER))
    finally:
        running.control("faults", [])
    (account,) = [account for account in found.accounts if account.account == CONSUMER]
    assert account.shut
    assert account.role == f"arn:aws:iam::{CONSUMER}:role/{ROLE}"
    assert account.own_policy
    assert account.own_policy["Statement"][0]["Resource"] == account.role
    assert all(answer.status != "allowed" for answer in account.answers)
