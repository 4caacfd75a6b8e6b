"""Which accounts and Regions there are: listed, or the organisation's; named, or those enabled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from exporter.aws.errors import attempt
from exporter.aws.session import Aws
from exporter.config import ALL_REGIONS, Account, Config, Organization
from exporter.model import Known, Part, Scope, Unavailable, carry, last_known

# Account.State; Status is its older name.
# https://docs.aws.amazon.com/organizations/latest/APIReference/API_Account.html
_ACTIVE = "ACTIVE"


def needs_region(config: Config) -> bool:
    """Whether the configuration leaves a Region to boto3's settings."""
    accounts = config.accounts or (Account(),)
    return config.organization is None and any(not account.regions for account in accounts)


@dataclass(frozen=True, slots=True)
class Listed:
    """The accounts to watch, each with the ways to reach it, and why others could not be found.

    `complete` is whether an account that is missing here is one that is watched no more. What could
    not be asked this time stands as it was last known.
    """

    accounts: Mapping[str, tuple[Account, ...]]
    problems: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Regions:
    """The Regions of an account to watch, each with the way to reach it there.

    `complete` is as in :class:`Listed`.
    """

    reached: Mapping[str, Account]
    problems: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


class Accounts:
    """Finds the accounts and Regions of one configuration, pass after pass.

    The organisation and the enabled Regions are asked for again after `age` seconds. What
    `previous` knew of them, under another configuration, is kept.
    """

    def __init__(
        self,
        aws: Aws,
        clock: Callable[[], float],
        config: Config,
        age: float,
        previous: Accounts | None = None,
    ) -> None:
        self._aws = aws
        self._clock = clock
        self._accounts = config.accounts or (Account(),)
        self._organization = config.organization
        self._age = age
        self._members: Part[tuple[str, ...]] | None = previous._members if previous else None
        self._enabled: dict[str, Part[tuple[str, ...]]] = (
            dict(previous._enabled) if previous else {}
        )

    def find(self) -> Listed:
        """Return every account that is known.

        Asks STS who the process's own credentials belong to. That may fail; accounts that are
        configured with a role are known all the same.
        """
        if self._organization:
            return self._organised(self._organization)
        problems: dict[str, str] = {}
        found: dict[str, list[Account]] = {}
        for account in self._accounts:
            account_id = account.id
            if account_id is None:
                named = account.regions not in ((), ALL_REGIONS)
                region = account.regions[0] if named else ""
                own = attempt(partial(self._aws.own_account, region))
                if isinstance(own, Unavailable):
                    problems["own account"] = own.reason
                    continue
                account_id = own.id
            found.setdefault(account_id, []).append(account)
        accounts = {account_id: tuple(ways) for account_id, ways in found.items()}
        return Listed(accounts, problems, complete=not problems)

    def regions(self, account_id: str, ways: tuple[Account, ...]) -> Regions:
        """Return the account's Regions, and tell the clients how to reach it in each.

        Where a Region can be reached with a role and with the process's own credentials, the role
        is used.
        """
        problems: dict[str, str] = {}
        reached: dict[str, Account] = {}
        complete = True
        for account in sorted(ways, key=lambda way: way.id is None):
            names = account.regions or (self._aws.region or "",)
            if account.regions == ALL_REGIONS:
                enabled = self._enabled_regions(account_id, account)
                names = last_known(enabled) or ()
                if isinstance(enabled, Unavailable):
                    problems["regions"] = enabled.reason
                    complete = complete and enabled.last is not None
            for name in names:
                if reached.setdefault(name, account) is not account:
                    problems[name] = "configured twice for this account: the first role is used"
        for name, account in reached.items():
            self._aws.reach(Scope(account_id, name), account)
        return Regions(reached, problems, complete)

    def _organised(self, organization: Organization) -> Listed:
        if not self._current(self._members):
            as_of = self._clock()
            listed = attempt(lambda: Known(self._list_members(), as_of))
            self._members = carry(self._members, listed)
        assert self._members is not None
        members = last_known(self._members)
        problems = {}
        if isinstance(self._members, Unavailable):
            problems["organization"] = self._members.reason
        if members is None:
            return Listed({}, problems, complete=False)
        own = self._aws.own_account("")  # known since the members are
        accounts = {
            member: (
                Account(regions=organization.regions)
                if member == own.id
                else Account(
                    role_arn=f"arn:{own.partition}:iam::{member}:role/{organization.role_name}",
                    external_id=organization.external_id,
                    regions=organization.regions,
                ),
            )
            for member in members
            if member not in organization.exclude
        }
        return Listed(accounts, problems)

    def _list_members(self) -> tuple[str, ...]:
        """Return the organisation's active accounts.

        https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html : only
        the management account and delegated administrators may ask.
        """
        own = self._aws.own_account("")
        here = Scope(own.id, self._aws.home(own.partition))
        client = self._aws.client_of(here, Account(), "organizations")
        rows = (
            row
            for page in client.get_paginator("list_accounts").paginate()
            for row in page["Accounts"]
        )
        return tuple(row["Id"] for row in rows if row.get("State", row.get("Status")) == _ACTIVE)

    def _enabled_regions(self, account_id: str, account: Account) -> Part[tuple[str, ...]]:
        held = self._enabled.get(account_id)
        if held is None or not self._current(held):
            as_of = self._clock()
            asked = attempt(lambda: Known(self._list_regions(account_id, account), as_of))
            held = self._enabled[account_id] = carry(held, asked)
        return held

    def _list_regions(self, account_id: str, account: Account) -> tuple[str, ...]:
        """Return the Regions that are enabled in an account.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html : without
        AllRegions these are the enabled ones.
        """
        arn = account.role_arn
        partition = arn.split(":")[1] if arn else self._aws.own_account("").partition
        here = Scope(account_id, self._aws.home(partition))
        answer = self._aws.client_of(here, account, "ec2").describe_regions()
        return tuple(sorted(row["RegionName"] for row in answer["Regions"]))

    def _current(self, part: Part[Any] | None) -> bool:
        return isinstance(part, Known) and self._clock() - part.as_of < self._age
