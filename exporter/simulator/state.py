"""What there is in the simulated organisation: AWS-shaped rows per account and Region, and names.

Account ids are those of AWS's documentation; public addresses are of RFC 5737 and RFC 3849.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = dict[str, list[Row]]

ACCOUNT = "111122223333"
REGION = "eu-west-1"
# The view of who is in none of our VPCs.
PUBLIC = ""


class Where(NamedTuple):
    """An account in a Region: what AWS lists at a time."""

    account: str
    region: str


HOME = Where(ACCOUNT, REGION)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one client's interface sends to one endpoint: so many connections in each window.

    `late_rejects` adds packets that arrive after the connection was closed: REJECT without SYN.
    """

    endpoint_id: str
    client_interface_id: str
    port: int = 443
    connections: int = 1
    late_rejects: bool = False
    # Whether a stranger tries the endpoint's ports, too.
    scanned: bool = False
    # Whether anybody stands behind the endpoint.
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue that is told of each object that comes into a bucket of its account.

    `envelope` is what stands around S3's event on its way; `duplicates` is how likely a message
    comes twice.
    """

    name: str
    bucket: str
    envelope: Literal["plain", "sns", "eventbridge"] = "plain"
    duplicates: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is right or wrong, on purpose, with one endpoint or service.

    `check` is the check that has the `status`; None where every check passes.
    """

    name: str
    kind: Literal["endpoint", "service"]
    account: str
    region: str
    id: str
    check: str | None
    status: Literal["pass", "warn", "fail", "unknown"]
    summary: str


@dataclass(slots=True)
class World:
    """Everything there is. Take `lock` to change what requests may be reading."""

    tables: dict[tuple[str, str], Tables] = field(default_factory=dict)
    log_groups: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    # Buckets that flow logs are delivered to, and the queues that are told of their objects.
    buckets: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    queues: dict[tuple[str, str], list[Queue]] = field(default_factory=dict)
    # Long-lived access keys and their accounts.
    keys: dict[str, str] = field(default_factory=dict)
    # The roles that may be assumed, by ARN; with none declared, any may.
    roles: set[str] = field(default_factory=set)
    # Rows of organizations:ListAccounts, and which account may list them.
    accounts: list[Row] = field(default_factory=list)
    management: str = ACCOUNT
    # By view (a VPC's id, or PUBLIC): addresses, "TXT text", and at most one "CNAME name", by name.
    # An empty list in a VPC's view hides the public name.
    names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    # By view: refused, servfail, silent, slow, lying; see dns.py.
    dns_behaviours: dict[str, str] = field(default_factory=dict)
    # Whether the public resolver answers from every VPC's view at once.
    one_resolver: bool = False
    traffic: list[Traffic] = field(default_factory=list)
    # The group whose rules the clock revokes and authorizes again.
    toggled_group: str = ""
    toggled_permission: Row = field(
        default_factory=lambda: {
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
        }
    )
    scenarios: dict[str, Scenario] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    # The VPC that the exporter's host is in, for IMDS; none: there is no IMDS.
    host_vpc: str = ""
    # The accounts' Regions: rows of ec2:DescribeRegions.
    regions: list[Row] = field(default_factory=list)
    # How many seconds CloudTrail takes to show an event.
    trail_delay: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def table(self, name: str, account: str = ACCOUNT, region: str = REGION) -> list[Row]:
        """Return the rows of a table, to read and to change."""
        return self.tables.setdefault((account, region), {}).setdefault(name, [])

    def row(self, table: str, key: str, value: str) -> Row:
        """Return the row, anywhere, whose key has the value; raises KeyError when there is none."""
        return self.find(table, key, value)[1]

    def find(self, table: str, key: str, value: str) -> tuple[Where, Row]:
        """Return the row, anywhere, whose key has the value, and where; raises KeyError.

        Of a row that several accounts list, where its owner does.
        """
        found = [
            (Where(*where), row)
            for where, tables in self.tables.items()
            for row in tables.get(table, ())
            if row.get(key) == value
        ]
        if not found:
            raise KeyError(f"{table}: no {key} {value}")
        return next((pair for pair in found if pair[1].get("OwnerId") == pair[0].account), found[0])

    def vpc_ids(self) -> list[str]:
        """Return every VPC's id, a shared one once."""
        return list(
            dict.fromkeys(r["VpcId"] for t in self.tables.values() for r in t.get("Vpcs", ()))
        )
