"""The configuration file, typed: every error at once, each with its line and path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    model_validator,
)

from exporter import strictyaml
from exporter.model import REGION, partition_of
from exporter.strictyaml import ConfigError, Model

__all__ = ["Config", "ConfigError", "duration", "load", "parse", "split_address"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d{1,9}(?:ms|s|m|h|d))+", re.ASCII)


def duration(value: object) -> float:
    """Return the seconds of a duration as Prometheus writes it (`90s`, `1h30m`, `500ms`).

    Raises ValueError on anything else; a bare number has no unit and is refused.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"a duration needs a unit, for example {value}s")
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 5m or 1h30m")
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h|d)", value))


def _address(value: str) -> str:
    host, port = split_address(value)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(value: str) -> tuple[str, int]:
    """Return host and port of `ADDRESS`, `ADDRESS:PORT` or `[V6]:PORT`; port 53 when omitted.

    Raises ValueError unless the host is an IP address: a resolver has no name to be resolved by.
    """
    match = re.fullmatch(r"(?:\[(?P<six>[^]]+)]|(?P<four>[^:]+))(?::(?P<port>\d+))?", value)
    host = (match["six"] or match["four"]) if match else value
    port = int(match["port"] or 53) if match else 53
    try:
        ip_address(host)
    except ValueError:
        raise ValueError(f"{value!r} is not an IP address, with :PORT or without") from None
    if not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    return host, port


def _between(least: str, most: str) -> AfterValidator:
    def check(value: float) -> float:
        if not duration(least) <= value <= duration(most):
            raise ValueError(f"must be between {least} and {most}")
        return value

    return AfterValidator(check)


def _like(pattern: str, example: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} does not look like {example}")
        return value

    return AfterValidator(check)


def _regions(value: object) -> object:
    if value == "all":
        return ALL_REGIONS
    return tuple(value) if isinstance(value, list) else value


def _together(value: tuple[str, ...]) -> tuple[str, ...]:
    if "all" in value and len(value) > 1:
        raise ValueError("write all by itself, or name the Regions")
    partitions = {partition_of(region) for region in value}
    if len(partitions) > 1:
        raise ValueError(f"credentials work in one partition; these are in {sorted(partitions)}")
    return value


def network(value: object) -> IPv4Network | IPv6Network:
    """Return the network of a CIDR block; an address by itself is a network of one.

    Raises ValueError on anything else, and where bits of a host are set: what is meant then is a
    guess.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a network; write for example 10.1.0.0/16")
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        around = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not a network; write for example 10.1.0.0/16") from None
    address = value.partition("/")[0]
    raise ValueError(
        f"{value} has host bits set; write {around} for the network, or "
        f"{address}/{around.max_prefixlen} for that address alone"
    )


def _one_or_several(value: object) -> object:
    if isinstance(value, bool | int | float):
        raise ValueError(f"quote it: '{value}'; a tag's value is a text")
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _text(value: object) -> object:
    if isinstance(value, int):
        raise ValueError(f"quote it: '{value}'; an account id may begin with 0")
    return value


def _distinct_ports(value: tuple[int, ...]) -> tuple[int, ...]:
    for port in value:
        if value.count(port) > 1:
            raise ValueError(f"{port} is listed twice")
    return value


# What `regions: all` stands for, until the account has been asked which are enabled.
ALL_REGIONS = ("all",)

Duration = Annotated[float, BeforeValidator(duration)]
Interval = Annotated[Duration, _between("100ms", "24h")]
Regions = Annotated[
    tuple[Annotated[str, _like(f"{REGION}|all", "eu-west-1, or all")], ...],
    BeforeValidator(_regions),
    AfterValidator(_together),
]
AccountId = Annotated[str, BeforeValidator(_text), _like(r"\d{12}", "'111122223333'")]
RoleArn = Annotated[
    str,
    _like(
        r"arn:aws(-cn|-us-gov|-iso|-iso-[bef]|-eusc)?:iam::\d{12}:role/[\w+=,.@/-]+",
        "arn:aws:iam::111122223333:role/privatelink-exporter",
    ),
]
ExternalId = Annotated[str, StringConstraints(min_length=2, max_length=1224)]
VpcId = Annotated[str, _like(r"vpc-[0-9a-f]+", "vpc-0a1b2c3d4e5f60718")]
EndpointId = Annotated[str, _like(r"vpce-[0-9a-f]+", "vpce-0a1b2c3d4e5f60718")]
Port = Annotated[int, Field(ge=1, le=65535)]
Ports = Annotated[tuple[Port, ...], AfterValidator(_distinct_ports)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(network)]
TagValues = Annotated[tuple[str, ...], BeforeValidator(_one_or_several)]


class Account(Model):
    """One account: a role to assume, or without one the process's own credentials."""

    role_arn: RoleArn | None = None
    external_id: ExternalId | None = Field(default=None, repr=False)
    regions: Regions = ()

    @property
    def id(self) -> str | None:
        """The role's account id; None for the process's own credentials."""
        return self.role_arn.split(":")[4] if self.role_arn else None

    @model_validator(mode="after")
    def _complete(self) -> Account:
        if self.external_id and not self.role_arn:
            raise ValueError("external_id goes with role_arn")
        if self.role_arn is None:
            return self
        if not self.regions:
            raise ValueError("regions: name at least one Region for this role, or write all")
        partition = self.role_arn.split(":")[1]
        for region in self.regions:
            if self.regions != ALL_REGIONS and partition_of(region) != partition:
                raise ValueError(f"regions: {region} is not in the role's partition, {partition}")
        return self


class Organization(Model):
    """Every active account of the organisation, by a role of the same name in each.

    The account that the process itself is in needs no role. `exclude` has accounts to leave out:
    StackSets do not make a role in the management account.
    """

    role_name: Annotated[str, _like(r"[\w+=,.@-][\w+=,.@/-]*", "privatelink-exporter")]
    external_id: ExternalId | None = Field(default=None, repr=False)
    regions: Regions
    exclude: tuple[AccountId, ...] = ()

    @model_validator(mode="after")
    def _some_region(self) -> Organization:
        if not self.regions:
            raise ValueError("regions: name at least one Region, or write all")
        return self


class Discovery(Model):
    """Which endpoints and services are watched: those with one of each tag's values; any type."""

    tags: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    types: tuple[
        Literal["Interface", "Gateway", "GatewayLoadBalancer", "Resource", "ServiceNetwork"], ...
    ] = ()

    def wants(self, kind: str, tags: Mapping[str, str]) -> bool:
        """Whether something of that type, with those tags, is to be watched."""
        return (not self.types or kind in self.types) and _tagged(self.tags, tags)


def _tagged(wanted: Mapping[str, tuple[str, ...]], tags: Mapping[str, str]) -> bool:
    """Whether there is each tag, with one of its values; with any where none is named."""
    return all(
        key in tags and (not values or tags[key] in values) for key, values in wanted.items()
    )


class Metrics(Model):
    """What the metrics say beside what they always say: tags that become labels of `_info`."""

    tag_labels: tuple[Annotated[str, StringConstraints(min_length=1, max_length=128)], ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Metrics:
        labels: dict[str, str] = {}
        for key in self.tag_labels:
            label = tag_label(key)
            if label in labels:
                raise ValueError(f"tag_labels: {labels[label]} and {key} are both {label}")
            labels[label] = key
        return self


def tag_label(key: str) -> str:
    """Return the label that a tag's key becomes: `Cost Center` is `tag_Cost_Center`."""
    return "tag_" + re.sub(r"[^a-zA-Z0-9_]", "_", key)


class Resolver(Model):
    """A DNS server to ask; `vpcs` are those whose clients it answers, empty for all."""

    address: Annotated[str, AfterValidator(_address)]
    vpcs: tuple[VpcId, ...] = ()


class InventoryCollector(Model):
    """How often AWS is listed."""

    refused: ClassVar[Mapping[str, str]] = {"enabled": "the inventory cannot be switched off"}

    interval: Interval = 60.0


class DnsCollector(Model):
    """Whether and how often names are resolved, and by whom; no resolvers: the system's."""

    enabled: bool = True
    interval: Interval = 30.0
    resolvers: tuple[Resolver, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> DnsCollector:
        for i, resolver in enumerate(self.resolvers):
            if any(resolver.address == other.address for other in self.resolvers[:i]):
                raise ValueError(f"resolvers[{i}]: {resolver.address} is listed twice")
        return self


class Athena(Model):
    """Where Athena counts: a workgroup, a database that is there, and where results go.

    Without `output` the workgroup says where.
    """

    workgroup: Annotated[str, _like(r"[A-Za-z0-9._-]{1,128}", "primary")]
    database: Annotated[str, _like(r"[A-Za-z0-9_-]{1,255}", "privatelink_exporter")]
    output: Annotated[str, _like(r"(s3://[a-z0-9.-]+/([^\0]*/)?)?", "s3://bucket/prefix/")] = ""


class Archive(Model):
    """The role that may read the buckets of flow logs, where they belong to another account."""

    role_arn: RoleArn
    external_id: ExternalId | None = Field(default=None, repr=False)


Source: TypeAlias = Literal["auto", "cloudwatch", "s3", "insights", "athena"]


Queue = Annotated[
    str,
    _like(
        r"https?://[^\s/]+/\d{12}/[A-Za-z0-9_-]{1,80}",
        "https://sqs.eu-west-1.amazonaws.com/111122223333/flow-logs",
    ),
]


def _each_once(queues: tuple[str, ...]) -> None:
    if len(set(queues)) != len(queues):
        raise ValueError("notifications: a queue is listed twice")


class FlowLogsCollector(Model):
    """Whether flow logs are read, how often and from where, and how late a record may arrive.

    `sources` say for a flow log, a log group or a bucket's ARN what `source` says for all others.
    `notifications` are SQS queues of S3's events, for this exporter alone. Queries, which AWS bills
    by volume, are asked only within `budget_dollars_per_day`.
    """

    enabled: bool = True
    interval: Interval = 60.0
    lookback: Annotated[Duration, _between("1s", "24h")] = 1800.0
    source: Source = "auto"
    sources: dict[Annotated[str, StringConstraints(min_length=1)], Source] = Field(
        default_factory=dict
    )
    notifications: tuple[Queue, ...] = ()
    athena: Athena | None = None
    archive: Archive | None = None
    budget_dollars_per_day: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _affordable(self) -> FlowLogsCollector:
        for name, source in self.sources.items():
            if name.startswith("s3://") or ":log-group:" in name:
                raise ValueError(
                    f"sources: {name}: write a flow log's id (fl-…), a log group's name, or a "
                    "bucket as AWS has it (arn:aws:s3:::bucket/prefix/)"
                )
            kinds = ("s3", "athena") if ":s3:::" in name else ("cloudwatch", "insights")
            if not name.startswith("fl-") and source not in ("auto", *kinds):
                what = "a bucket" if ":s3:::" in name else "a log group"
                raise ValueError(f"sources: {name} is {what}, which {source} does not read")
        for where, source in {"source": self.source, **self.sources}.items():
            if source in ("insights", "athena") and not self.budget_dollars_per_day:
                raise ValueError(
                    f"{where}: {source} is billed by volume; say with budget_dollars_per_day what "
                    "it may cost"
                )
            if source == "athena" and self.athena is None:
                raise ValueError(f"{where}: athena needs athena: {{workgroup: …, database: …}}")
        _each_once(self.notifications)
        return self


class ChangesCollector(Model):
    """Whether CloudTrail is asked who changed what, and how often.

    `notifications` are SQS queues of EventBridge's events, for this exporter alone.
    """

    enabled: bool = True
    interval: Interval = 300.0
    notifications: tuple[Queue, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> ChangesCollector:
        _each_once(self.notifications)
        return self


class ConnectivityCollector(Model):
    """Whether and how often connections are tried from this host.

    `vpcs` are those that it can reach beside its own: by peering or a transit gateway. `tls_ports`
    are those that speak TLS from the first byte.
    """

    enabled: bool = False
    interval: Interval = 60.0
    vpcs: tuple[VpcId, ...] = ()
    tls_ports: Ports = (443,)


class Collectors(Model):
    """The collectors."""

    inventory: InventoryCollector = InventoryCollector()
    dns: DnsCollector = DnsCollector()
    flow_logs: FlowLogsCollector = FlowLogsCollector()
    changes: ChangesCollector = ChangesCollector()
    connectivity: ConnectivityCollector = ConnectivityCollector()

    @model_validator(mode="after")
    def _apart(self) -> Collectors:
        both = set(self.flow_logs.notifications) & set(self.changes.notifications)
        if both:
            raise ValueError(f"{min(both)} is named by flow_logs and by changes: one queue each")
        return self


class Match(Model):
    """Which endpoints are meant: the one of that id, those with these tags; both must match."""

    id: EndpointId | None = None
    tags: dict[str, TagValues] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _some(self) -> Match:
        if self.id is None and not self.tags:
            raise ValueError("say which endpoints: {id: vpce-…} or {tags: {team: [payments]}}")
        return self

    def matches(self, endpoint_id: str, tags: Mapping[str, str]) -> bool:
        """Whether an endpoint with that id and these tags is meant."""
        return self.id in (None, endpoint_id) and _tagged(self.tags, tags)


class EndpointSettings(Model):
    """What AWS cannot tell of endpoints.

    On which ports they are used, by which clients, and whether private DNS is off on purpose
    (False).
    """

    match: Match
    ports: Ports = ()
    clients: tuple[Network, ...] = ()
    private_dns: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> EndpointSettings:
        if self.model_fields_set <= {"match"}:
            raise ValueError("sets nothing: say ports, clients or private_dns, or remove the entry")
        return self


class Storage(Model):
    """Where counters and cursors are kept: a directory."""

    path: Annotated[str, _like(r"[^\0]+", "./state")] = "./state"


class Config(Model):
    """The whole file."""

    accounts: tuple[Account, ...] = ()
    organization: Organization | None = None
    discovery: Discovery = Discovery()
    collectors: Collectors = Collectors()
    endpoints: tuple[EndpointSettings, ...] = ()
    metrics: Metrics = Metrics()
    storage: Storage = Storage()

    @model_validator(mode="after")
    def _once(self) -> Config:
        if self.accounts and self.organization:
            raise ValueError("organization: goes instead of accounts, not beside them")
        seen: dict[tuple[str | None, str], int] = {}
        for i, account in enumerate(self.accounts):
            for region in account.regions or ("the default Region",):
                first = seen.setdefault((account.id, region), i)
                others = {first, seen.get((account.id, "all"), i)}
                if region == "all":
                    others |= {j for (other, _), j in seen.items() if other == account.id}
                if others != {i} or account.regions.count(region) > 1:
                    name = account.id or "the process's own account"
                    raise ValueError(f"accounts[{i}]: {name} in {region} is listed twice")
        return self


def load(path: Path) -> Config:
    """Return the configuration in a file; raises ConfigError with every error in it."""
    return parse(strictyaml.read(path), str(path))


def parse(text: str, source: str) -> Config:
    """Return the configuration in a text; `source` names it in the errors of a ConfigError."""
    return strictyaml.parse(text, source, Config)
