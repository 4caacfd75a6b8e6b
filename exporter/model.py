"""The frozen nouns: what AWS, DNS and the flow logs told us, and when.

Nothing here does I/O. A part of what we know is either :class:`Known` or :class:`Unavailable`:
a call that failed is never an empty list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Generic, Literal, TypeAlias, TypeVar

T = TypeVar("T")

Address: TypeAlias = IPv4Address | IPv6Address
Outcome: TypeAlias = Literal["ok", "throttled", "denied", "error"]
Action: TypeAlias = Literal["ACCEPT", "REJECT"]
NameKind: TypeAlias = Literal["regional", "zonal", "private"]

ACTIONS: tuple[Action, ...] = ("ACCEPT", "REJECT")

# VpcEndpoint.State as the EC2 API reference lists it, in Prometheus's spelling. "unknown" is ours:
# a state that AWS has added since, or one we have not been able to see for too long.
ENDPOINT_STATES = (
    "pending_acceptance",
    "pending",
    "available",
    "deleting",
    "deleted",
    "rejected",
    "failed",
    "expired",
    "partial",
    "unknown",
)
# Endpoint types that have interfaces and names in DNS. A type that AWS adds later is probed when it
# has names: `Endpoint.has_dns`.
TYPES_WITHOUT_DNS = frozenset({"GatewayLoadBalancer", "Gateway"})


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """One account in one Region: the unit that is listed, fails and recovers by itself."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """Something that was seen, and when (seconds since the epoch)."""

    value: T
    as_of: float


@dataclass(frozen=True, slots=True)
class Unavailable(Generic[T]):
    """Something that could not be seen, why, and what was last seen of it, if ever."""

    reason: str
    outcome: Outcome = "error"
    last: Known[T] | None = None


Part: TypeAlias = Known[T] | Unavailable[T]


def last_known(part: Part[T]) -> T | None:
    """Return what was last seen, however old; None when nothing ever was."""
    known = part if isinstance(part, Known) else part.last
    return None if known is None else known.value


def carry(old: Part[T] | None, new: Part[T]) -> Part[T]:
    """Return `new`; when it failed, with what `old` had last seen."""
    if isinstance(new, Known) or old is None:
        return new
    return Unavailable(new.reason, new.outcome, old if isinstance(old, Known) else old.last)


def settle(part: Part[T], now: float, keep: float) -> Part[T]:
    """Return what may be judged at `now`: a sight at most `keep` seconds old, or Unavailable.

    A failed pass does not turn a verdict unknown at once: what was last seen stands until it is
    `keep` seconds old. A sight that nobody has renewed for that long no longer stands either.
    """
    known = part if isinstance(part, Known) else part.last
    if known is not None and now - known.as_of <= keep:
        return known
    if isinstance(part, Known):
        return Unavailable(f"last seen {now - part.as_of:.0f} s ago", "error", part)
    return part


@dataclass(frozen=True, slots=True)
class DnsName:
    """A name of an endpoint; `zone` is the availability zone's name, for a zonal name."""

    name: str
    kind: NameKind
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A VPC endpoint as DescribeVpcEndpoints gives it.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpoint.html
    """

    id: str
    scope: Scope
    type: str
    state: str
    service_name: str
    vpc_id: str
    service_region: str = ""
    owner: str = ""
    subnet_ids: tuple[str, ...] = ()
    interface_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    route_table_ids: tuple[str, ...] = ()
    ip_address_type: str = ""
    dns_record_ip_type: str = ""
    private_dns_enabled: bool = False
    dns_names: tuple[DnsName, ...] = ()
    requester_managed: bool = False
    policy: str | None = None
    created: float | None = None
    last_error: str | None = None
    failure_reason: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The tag Name, or nothing."""
        return self.tags.get("Name", "")

    @property
    def has_dns(self) -> bool:
        """Whether its names should resolve: it has some, and is not on its way out."""
        return (
            bool(self.dns_names)
            and self.type not in TYPES_WITHOUT_DNS
            and self.state not in ("deleting", "deleted")
        )


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of an endpoint, with its addresses."""

    id: str
    vpc_id: str
    subnet_id: str
    zone: str
    zone_id: str
    addresses: tuple[Address, ...]
    security_group_ids: tuple[str, ...] = ()
    type: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC that holds endpoints, and the two attributes that private names depend on."""

    id: str
    owner: str
    cidrs: tuple[str, ...]
    dns_support: Part[bool]
    dns_hostnames: Part[bool]


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet; `zone_id` names the same zone in every account."""

    id: str
    vpc_id: str
    zone: str
    zone_id: str
    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowLog:
    """A flow log as DescribeFlowLogs gives it; `aggregation` in seconds.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_FlowLog.html
    """

    id: str
    resource_id: str
    traffic_type: str
    destination_type: str
    destination: str
    format: str
    aggregation: int = 600
    status: str = "ACTIVE"
    delivery_status: str = ""
    delivery_error: str = ""
    created: float | None = None
    file_format: str = ""

    @property
    def delivers(self) -> bool:
        """False when it is not active or AWS says that delivery fails.

        AWS gives no delivery status before the first attempt: that is not a failure.
        """
        return self.status.upper() == "ACTIVE" and self.delivery_status.upper() in ("", "SUCCESS")

    def covers(self, interface: Interface) -> bool:
        """Whether the interface is logged: by its own id, its subnet's or its VPC's."""
        return self.resource_id in (interface.id, interface.subnet_id, interface.vpc_id)

    def logs(self, action: Action) -> bool:
        """Whether its traffic type includes the action."""
        return self.traffic_type.upper() in ("ALL", action)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one account and Region holds, by id; each part is known or says why not."""

    scope: Scope
    endpoints: Part[Mapping[str, Endpoint]]
    interfaces: Part[Mapping[str, Interface]]
    vpcs: Part[Mapping[str, Vpc]]
    subnets: Part[Mapping[str, Subnet]]
    flow_logs: Part[Mapping[str, FlowLog]]

    def parts(self) -> Iterator[tuple[str, Part[Mapping[str, object]]]]:
        """Yield each part with its name."""
        yield "endpoints", self.endpoints  # type: ignore[misc]  # mappings are covariant here
        yield "interfaces", self.interfaces  # type: ignore[misc]
        yield "vpcs", self.vpcs  # type: ignore[misc]
        yield "subnets", self.subnets  # type: ignore[misc]
        yield "flow_logs", self.flow_logs  # type: ignore[misc]

    def problems(self) -> dict[str, str]:
        """Return the reason for each part, or attribute of a VPC, that could not be seen."""
        found = {name: part.reason for name, part in self.parts() if isinstance(part, Unavailable)}
        for vpc in (last_known(self.vpcs) or {}).values():
            for attribute in (vpc.dns_support, vpc.dns_hostnames):
                if isinstance(attribute, Unavailable):
                    found[f"vpcs.{vpc.id}"] = attribute.reason
        return found

    def carried(self, old: Inventory | None) -> Inventory:
        """Return this pass, with what `old` had last seen behind the parts that failed."""
        if old is None:
            return self
        return Inventory(
            self.scope,
            carry(old.endpoints, self.endpoints),
            carry(old.interfaces, self.interfaces),
            carry(old.vpcs, self.vpcs),
            carry(old.subnets, self.subnets),
            carry(old.flow_logs, self.flow_logs),
        )

    def settled(self, now: float, keep: float) -> Inventory:
        """Return what may be judged at `now`; see :func:`settle`."""
        return Inventory(
            self.scope,
            settle(self.endpoints, now, keep),
            settle(self.interfaces, now, keep),
            settle(self.vpcs, now, keep),
            settle(self.subnets, now, keep),
            settle(self.flow_logs, now, keep),
        )


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one resolver answered for one name of an endpoint.

    `rcode` is the response code's name, or "TIMEOUT". `ttl` in seconds, the least of the answer's.
    `matches` is whether there are answers and all of them are the endpoint's own addresses; None
    while those are unknown. `problem` is the value of the label of that name, None without one.
    """

    endpoint_id: str
    name: DnsName
    resolver: str
    rcode: str
    answers: tuple[Address, ...]
    expected: tuple[Address, ...] | None
    cnames: tuple[str, ...]
    ttl: int | None
    duration: float
    as_of: float
    problem: str | None
    matches: bool | None

    @property
    def success(self) -> bool:
        """Whether every address family that should be there was answered."""
        return self.problem in (None, "public_address", "foreign_address")


_ENDPOINT_ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+(-[a-z]+-\d+)?[a-z]$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def endpoint_state(wire: str) -> str:
    """Return the state in our spelling; "unknown" for one we do not know.

    The API's enumeration says `PendingAcceptance`, the wire says `pendingAcceptance`.
    """
    state = _CAMEL.sub("_", wire).lower()
    return state if state in ENDPOINT_STATES else "unknown"


def classify_name(name: str, endpoint_id: str) -> DnsName:
    """Say of what kind a name of an endpoint is; the order of DnsEntries says nothing.

    The endpoint's own names have a label `vpce-ID-suffix`, and `vpce-ID-suffix-ZONE` where they
    are zonal; any other name is a private one.
    https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
    """
    name = name.rstrip(".").lower()
    own = next((label for label in name.split(".") if label.startswith(endpoint_id)), None)
    if own is None:
        return DnsName(name, "private")
    _, _, zone = own.removeprefix(endpoint_id).lstrip("-").partition("-")
    return DnsName(name, "zonal", zone) if _ENDPOINT_ZONE.match(zone) else DnsName(name, "regional")


def addresses_of(texts: Iterator[str]) -> tuple[Address, ...]:
    """Return the addresses, sorted by family and value; raises ValueError on any other text."""
    return tuple(sorted({ip_address(text) for text in texts}, key=lambda a: (a.version, int(a))))
