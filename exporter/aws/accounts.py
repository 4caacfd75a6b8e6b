"""Which accounts and Regions there are: listed, or the organisation's; named, or those enabled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
class Found:
    """The accounts and Regions to watch, and why others could not be found.

    What could not be asked this time stands as it was last known: a scope that is missing here is
    one that is no more.
    """

    scopes: tuple[Scope, ...]
    problems: Mapping[str, str] = field(default_factory=dict)
    # By account id: why it is not known which Regions it has enabled.
    blind: Mapping[str, str] = field(default_factory=dict)


class Accounts:
    """Finds the accounts and Regions of a configuration, pass after pass."""

    def __init__(self, aws: Aws, clock: Callable[[], float]) -> None:
        self._aws = aws
        self._clock = clock
        self._accounts: tuple[Account, ...] = ()
        self._organization: Organization | None = None
        self._age = 0.0
        self._members: Part[Mapping[str, Account]] | None = None
        self._regions: dict[str, Part[tuple[str, ...]]] = {}

    def configure(self, config: Config, age: float) -> None:
        """Find those of this configuration from now on; what is known already is kept.

        The organisation and the enabled Regions are asked for again after `age` seconds.
        """
        if config.organization != self._organization:
            self._members = None
        self._accounts = config.accounts or (Account(),)
        self._organization = config.organization
        self._age = age

    def find(self) -> Found:
        """Return every account and Region that is known, and tell `aws` how to reach it.

        Asks STS who the process's own credentials belong to. That may fail, or give an account
        that is also configured with a role; the others are known all the same.
        """
        problems: dict[str, str] = {}
        blind: dict[str, str] = {}
        scopes: dict[Scope, Account] = {}
        # Accounts with a role come first: where one is named both ways, the role is used.
        for account_id, account in sorted(
            self._named(problems), key=lambda item: item[1].id is None
        ):
            for region in self._enabled(account_id, account, blind):
                scope = Scope(account_id, region)
                if scopes.setdefault(scope, account) is not account:
                    problems[f"{account_id} {region}"] = (
                        "configured with a role, and as the process's own account: the role is used"
                    )
        for scope, account in scopes.items():
            self._aws.reach(scope, account)
        problems |= {f"{account} regions": reason for account, reason in blind.items()}
        return Found(tuple(sorted(scopes)), problems, blind)

    def _named(self, problems: dict[str, str]) -> Iterator[tuple[str, Account]]:
        if self._organization:
            yield from self._organised(self._organization, problems)
            return
        for account in self._accounts:
            if account.id:
                yield account.id, account
                continue
            region = account.regions[0] if account.regions not in ((), ALL_REGIONS) else ""
            own = attempt(partial(self._aws.own_account, region))
            if isinstance(own, Unavailable):
                problems["own account"] = own.reason
            else:
                yield own.id, account

    def _organised(
        self, organization: Organization, problems: dict[str, str]
    ) -> Iterator[tuple[str, Account]]:
        if not self._current(self._members):
            as_of = self._clock()
            listed = attempt(lambda: Known(self._list_members(organization), as_of))
            self._members = carry(self._members, listed)
        assert self._members is not None
        if isinstance(self._members, Unavailable):
            problems["organization"] = self._members.reason
        yield from (last_known(self._members) or {}).items()

    def _list_members(self, organization: Organization) -> dict[str, Account]:
        """Return how to reach each active account of the organisation.

        https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html : only
        the management account and delegated administrators may ask.
        """
        own = self._aws.own_account("")
        here = Scope(own.id, self._aws.home(own.partition))
        self._aws.reach(here, Account())
        client = self._aws.client(here, "organizations")
        rows = [
            row
            for page in client.get_paginator("list_accounts").paginate()
            for row in page["Accounts"]
        ]
        return {
            row["Id"]: Account(regions=organization.regions)
            if row["Id"] == own.id
            else Account(
                role_arn=f"arn:{own.partition}:iam::{row['Id']}:role/{organization.role_name}",
                external_id=organization.external_id,
                regions=organization.regions,
            )
            for row in rows
            if row.get("State", row.get("Status")) == _ACTIVE
            and row["Id"] not in organization.exclude
        }

    def _enabled(self, account_id: str, account: Account, blind: dict[str, str]) -> tuple[str, ...]:
        if account.regions != ALL_REGIONS:
            return account.regions or (self._aws.region or "",)
        held = self._regions.get(account_id)
        if not self._current(held):
            as_of = self._clock()
            asked = attempt(lambda: Known(self._list_regions(account_id, account), as_of))
            held = self._regions[account_id] = carry(held, asked)
        assert held is not None
        if isinstance(held, Unavailable):
            blind[account_id] = held.reason
        return last_known(held) or ()

    def _list_regions(self, account_id: str, account: Account) -> tuple[str, ...]:
        """Return the Regions that are enabled in an account.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html : without
        AllRegions these are the enabled ones.
        """
        arn = account.role_arn
        partition = arn.split(":")[1] if arn else self._aws.own_account("").partition
        here = Scope(account_id, self._aws.home(partition))
        self._aws.reach(here, account)
        answer = self._aws.client(here, "ec2").describe_regions()
        return tuple(sorted(row["RegionName"] for row in answer["Regions"]))

    def _current(self, part: Part[Any] | None) -> bool:
        return isinstance(part, Known) and self._clock() - part.as_of < self._age
