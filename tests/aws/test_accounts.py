"""Which accounts and Regions there are, asked of a simulated organisation over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pytest

from exporter.aws.accounts import Accounts
from exporter.aws.session import Aws
from exporter.config import parse
from exporter.model import Scope
from exporter.simulator.faults import Fault
from exporter.simulator.server import Simulator
from tests.aws.lists import PATIENT

OWN, OTHER, THIRD = "111122223333", "444455556666", "222233334444"
REGION, SECOND = "eu-west-1", "us-east-1"
ROLE = "role_arn: 'arn:aws:iam::444455556666:role/privatelink-exporter'"


@dataclass(frozen=True)
class Found:
    """What two steps found: the accounts, and the Regions of each."""

    scopes: tuple[Scope, ...]
    problems: dict[str, str]


Find = Callable[[], Found]


class Finder(Protocol):
    def __call__(self, config: str, age: float = 0.0) -> Find: ...


def finding(accounts: Accounts) -> Found:
    listed = accounts.find()
    problems, found = dict(listed.problems), []
    for account, ways in listed.accounts.items():
        regions = accounts.regions(account, ways)
        found += [Scope(account, region) for region in regions.reached]
        problems |= {f"{account} {what}": why for what, why in regions.problems.items()}
    return Found(tuple(sorted(found)), problems)


@pytest.fixture
def finder(organised: Simulator) -> Finder:
    """Return a function that makes a finder of a configuration; each find asks everything anew."""

    def make(config: str, age: float = 0.0) -> Find:
        accounts = Accounts(Aws(config=PATIENT), lambda: 1000.0, parse(config, "test"), age)
        return partial(finding, accounts)

    return make


def scopes(*pairs: tuple[str, str]) -> tuple[Scope, ...]:
    return tuple(sorted(Scope(*pair) for pair in pairs))


def test_without_accounts_the_own_one(finder: Finder) -> None:
    """No configuration: the process's own account in its default Region."""
    assert finder("")() == Found(scopes((OWN, REGION)), {})


def test_listed_accounts(finder: Finder) -> None:
    """A role's account in each of its Regions, and the own one."""
    found = finder(f"accounts: [{{{ROLE}, regions: [{REGION}, {SECOND}]}}, {{}}]")()
    assert found == Found(scopes((OTHER, REGION), (OTHER, SECOND), (OWN, REGION)), {})


def test_enabled_regions(finder: Finder) -> None:
    """`all` is what the account has enabled, not what AWS has."""
    found = finder("accounts: [{regions: all}]")()
    assert Scope(OWN, REGION) in found.scopes
    assert Scope(OWN, SECOND) in found.scopes
    assert Scope(OWN, "ap-east-1") not in found.scopes
    assert not found.problems


def test_the_organisation(finder: Finder) -> None:
    """Every active account, by the role; the own one, which has no such role, without."""
    found = finder(f"organization: {{role_name: privatelink-exporter, regions: [{REGION}]}}")()
    assert found == Found(scopes((OWN, REGION), (OTHER, REGION), (THIRD, REGION)), {})


def test_accounts_that_are_left_out(finder: Finder) -> None:
    """An excluded account is not watched."""
    found = finder(
        f"organization: {{role_name: privatelink-exporter, regions: all, exclude: ['{THIRD}']}}"
    )()
    assert {scope.account for scope in found.scopes} == {OWN, OTHER}
    assert {REGION, SECOND} <= {scope.region for scope in found.scopes}


def test_an_account_that_left_the_organisation(finder: Finder, organised: Simulator) -> None:
    """A suspended account is watched no more."""
    find = finder(f"organization: {{role_name: privatelink-exporter, regions: [{REGION}]}}")
    assert len(find().scopes) == 3
    for account in organised.world.accounts:
        if account["Id"] == THIRD:
            account.update(State="SUSPENDED", Status="SUSPENDED")
    assert find().scopes == scopes((OWN, REGION), (OTHER, REGION))


@pytest.mark.parametrize("kind", ["denied", "throttled", "error", "malformed", "dropped"])
def test_what_cannot_be_asked_stands(finder: Finder, organised: Simulator, kind: str) -> None:
    """A failed ListAccounts or DescribeRegions is told, and closes no account or Region."""
    config = "organization: {role_name: privatelink-exporter, regions: all}"
    find = finder(config)
    before = find()
    assert before.problems == {}
    for operation, what in (
        ("ListAccounts", {"organization"}),
        ("DescribeRegions", {f"{account} regions" for account in (OWN, OTHER, THIRD)}),
    ):
        organised.faults.faults = [Fault(kind, operation=operation)]
        after = find()
        assert after.scopes == before.scopes
        assert set(after.problems) == what
        blind = finder(config)()
        assert blind.scopes == ()
        assert set(blind.problems) == what
    organised.faults.faults = []
    assert find() == before


def test_one_role_failing_leaves_the_others(finder: Finder, organised: Simulator) -> None:
    """Where a role may not be assumed its Regions are unknown; those of the others are not."""
    organised.faults.faults = [Fault("denied", "sts", "AssumeRole", account=OTHER)]
    found = finder("organization: {role_name: privatelink-exporter, regions: all}")()
    assert {scope.account for scope in found.scopes} == {OWN, THIRD}
    assert "AccessDenied" in found.problems[f"{OTHER} regions"]


def test_the_answers_are_kept_for_a_while(finder: Finder, organised: Simulator) -> None:
    """The organisation and its Regions are not asked for at every pass."""
    find = finder("organization: {role_name: privatelink-exporter, regions: all}", age=300.0)
    first = find()
    calls = dict(organised.faults.calls)
    assert find() == first
    assert dict(organised.faults.calls) == calls


def test_an_account_named_twice(finder: Finder) -> None:
    """The own account, configured with a role as well, is watched once, by the role."""
    role = f"arn:aws:iam::{OWN}:role/x"
    config = f"accounts: [{{regions: [{REGION}]}}, {{role_arn: '{role}', regions: [{REGION}]}}]"
    found = finder(config)()
    assert found.scopes == scopes((OWN, REGION))
    assert "the first role is used" in found.problems[f"{OWN} {REGION}"]


def test_the_own_account_unknown(finder: Finder, organised: Simulator) -> None:
    """Without GetCallerIdentity the roles' accounts are known all the same."""
    organised.faults.faults = [Fault("denied", "sts", "GetCallerIdentity")]
    found = finder(f"accounts: [{{}}, {{{ROLE}, regions: [{REGION}]}}]")()
    assert found.scopes == scopes((OTHER, REGION))
    assert "AccessDenied" in found.problems["own account"]


@pytest.mark.parametrize(
    ("partition", "home"),
    [("aws", REGION), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")],
)
def test_partitions(organised: Simulator, partition: str, home: str) -> None:
    """A role of another partition is assumed there, in a Region of it."""
    aws = Aws(config=PATIENT)
    assert aws.home(partition) == home
    role = f"arn:{partition}:iam::{OTHER}:role/privatelink-exporter"
    config = parse(f"accounts: [{{role_arn: '{role}', regions: [{home}]}}]", "test")
    accounts = Accounts(aws, lambda: 0.0, config, 0.0)
    organised.world.roles.add(role)
    assert finding(accounts).scopes == scopes((OTHER, home))
    assert aws.client(Scope(OTHER, home), "sts").get_caller_identity()["Account"] == OTHER
    assert [k.region for k in aws.requests() if k.operation == "AssumeRole"] == [home]


def test_an_opt_in_region_is_no_home(organised: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process is in a Region that has to be enabled, others are asked elsewhere."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
    assert Aws().home("aws") == "us-east-1"


def test_another_configuration_keeps_what_is_known(organised: Simulator) -> None:
    """A reload while ListAccounts fails goes on with the members that are known, as it says now."""
    aws = Aws(config=PATIENT)
    organization = "organization: {role_name: privatelink-exporter, regions: all"
    before = Accounts(aws, lambda: 0.0, parse(organization + "}", "test"), 0.0)
    assert len(finding(before).scopes) == 6
    organised.faults.faults = [Fault("denied", "organizations")]
    config = parse(f"{organization}, exclude: ['{THIRD}']}}", "test")
    after = Accounts(aws, lambda: 0.0, config, 0.0, before)
    assert {scope.account for scope in finding(after).scopes} == {OWN, OTHER}
    assert after.find().complete
    listed = Accounts(aws, lambda: 0.0, parse("accounts: [{}]", "test"), 0.0, after)
    assert set(listed.find().accounts) == {OWN}
