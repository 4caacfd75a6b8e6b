"""The configuration file, typed: every error at once, each with its line and path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d{1,9}(?:ms|s|m|h|d))+", re.ASCII)


# Values in a configuration, its aliases expanded: far above any real one, far below what hurts.
LARGEST = 100_000


class ConfigError(Exception):
    """Raised when a configuration cannot be used; `errors` has a line for each reason."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


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


def _alone(value: tuple[str, ...]) -> tuple[str, ...]:
    if "all" in value and len(value) > 1:
        raise ValueError("write all by itself, or name the Regions")
    return value


def _text(value: object) -> object:
    if isinstance(value, int):
        raise ValueError(f"quote it: '{value}'; an account id may begin with 0")
    return value


REGION = r"[a-z]{2}(-[a-z]+)+-\d+"
# What `regions: all` stands for, until the account has been asked which are enabled.
ALL_REGIONS = ("all",)

Duration = Annotated[float, BeforeValidator(duration)]
Interval = Annotated[Duration, _between("100ms", "24h")]
Regions = Annotated[
    tuple[Annotated[str, _like(f"{REGION}|all", "eu-west-1, or all")], ...],
    BeforeValidator(_regions),
    AfterValidator(_alone),
]
AccountId = Annotated[str, BeforeValidator(_text), _like(r"\d{12}", "'111122223333'")]
RoleArn = Annotated[
    str,
    _like(
        r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+",
        "arn:aws:iam::111122223333:role/privatelink-exporter",
    ),
]
ExternalId = Annotated[str, StringConstraints(min_length=2, max_length=1224)]
VpcId = Annotated[str, _like(r"vpc-[0-9a-f]+", "vpc-0a1b2c3d4e5f60718")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def partition_of(region: str) -> str:
    """Return the partition that a Region is in.

    https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
    """
    for prefix, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(prefix):
            return partition
    return "aws"


class Account(_Model):
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


class Organization(_Model):
    """Every active account of the organisation, by a role of the same name in each.

    The account that the process itself is in needs no role. `exclude` has accounts to leave out:
    StackSets do not make a role in the management account.
    """

    role_name: Annotated[str, _like(r"[\w+=,.@/-]+", "privatelink-exporter")]
    external_id: ExternalId | None = Field(default=None, repr=False)
    regions: Regions
    exclude: tuple[AccountId, ...] = ()

    @model_validator(mode="after")
    def _some_region(self) -> Organization:
        if not self.regions:
            raise ValueError("regions: name at least one Region, or write all")
        return self


class Discovery(_Model):
    """Which endpoints and services are watched: those with one of each tag's values; any type."""

    tags: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    types: tuple[
        Literal["Interface", "Gateway", "GatewayLoadBalancer", "Resource", "ServiceNetwork"], ...
    ] = ()

    def wants(self, kind: str, tags: Mapping[str, str]) -> bool:
        """Whether something of that type, with those tags, is to be watched."""
        return (not self.types or kind in self.types) and all(
            key in tags and (not values or tags[key] in values) for key, values in self.tags.items()
        )


class Metrics(_Model):
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


class Resolver(_Model):
    """A DNS server to ask; `vpcs` are those whose clients it answers, empty for all."""

    address: Annotated[str, AfterValidator(_address)]
    vpcs: tuple[VpcId, ...] = ()


class InventoryCollector(_Model):
    """How often AWS is listed."""

    interval: Interval = 60.0


class DnsCollector(_Model):
    """How often names are resolved, and by whom; no resolvers: the system's."""

    interval: Interval = 30.0
    resolvers: tuple[Resolver, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> DnsCollector:
        for i, resolver in enumerate(self.resolvers):
            if any(resolver.address == other.address for other in self.resolvers[:i]):
                raise ValueError(f"resolvers[{i}]: {resolver.address} is listed twice")
        return self


class FlowLogsCollector(_Model):
    """How often flow logs are read, and how long after its end a record may still arrive."""

    interval: Interval = 60.0
    lookback: Annotated[Duration, _between("1s", "24h")] = 1800.0


class Collectors(_Model):
    """The collectors."""

    inventory: InventoryCollector = InventoryCollector()
    dns: DnsCollector = DnsCollector()
    flow_logs: FlowLogsCollector = FlowLogsCollector()


class Storage(_Model):
    """Where counters and cursors are kept: a directory."""

    path: Annotated[str, _like(r"[^\0]+", "./state")] = "./state"


class Config(_Model):
    """The whole file."""

    accounts: tuple[Account, ...] = ()
    organization: Organization | None = None
    discovery: Discovery = Discovery()
    collectors: Collectors = Collectors()
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
                if first != i or account.regions.count(region) > 1:
                    name = account.id or "the process's own account"
                    raise ValueError(f"accounts[{i}]: {name} in {region} is listed twice")
        return self


def load(path: Path) -> Config:
    """Return the configuration in a file; raises ConfigError with every error in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Config:
    """Return the configuration in a text; `source` names it in the errors of a ConfigError."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        if _size(tree, {}) > LARGEST:
            raise ConfigError([f"{source}:1: its aliases expand to more than {LARGEST} values"])
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError([f"{source}:{line}: not YAML: {error.problem}"]) from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError([f"{source}:1: not YAML: {error}"]) from None
    config = Config()
    errors: list[tuple[int, str]] = []
    try:
        errors += _duplicates(tree, ())
        config = Config.model_validate_json(_json(data)) if data is not None else config
    except ValidationError as error:
        errors += [
            (_line(tree, e["loc"]), f"{_path(e['loc'])}{_message(e)}") for e in error.errors()
        ]
    except (TypeError, ValueError, RecursionError) as error:
        errors.append((1, f"not a configuration: {error}"))
    if errors:
        raise ConfigError([f"{source}:{line}: {message}" for line, message in sorted(errors)])
    return config


def _json(data: object) -> str:
    """YAML's data as JSON, for which strict validation takes lists as tuples."""
    return json.dumps(data, default=str)  # str: a date is not JSON; its field says what it wants


def _path(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".")
    return f"{path}: " if path else ""


def _message(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _fields_at(error["loc"][:-1])
        return f"unknown key; known here: {', '.join(known)}" if known else "unknown key"
    if kind == "missing":
        return "required"
    if kind == "tuple_type":
        return "write a list, for example [a, b]"
    if kind == "model_type":
        return "write keys and their values, for example {key: value}"
    message = error["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if kind != "value_error" else message


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = Config
    for key in loc:
        if isinstance(key, int):
            continue
        annotation = model.model_fields[key].annotation
        arguments = getattr(annotation, "__args__", (annotation,))
        model = arguments[0]
    return list(getattr(model, "model_fields", ()))


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line of the innermost node on the path that the text has."""
    line = node.start_mark.line + 1 if node else 1
    for key in loc:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for k, v in node.value:
                if k.value == key:
                    line, child = k.start_mark.line + 1, v
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            child = node.value[key]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line


def _size(node: yaml.Node | None, sizes: dict[int, int]) -> int:
    """Return how many values a node stands for, each alias as often as it is used.

    One that holds itself counts as too large.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = LARGEST + 1  # until it is known: it may be met again inside itself
        inner = [n for item in node.value for n in (item if isinstance(item, tuple) else (item,))]
        sizes[id(node)] = 1 + sum(_size(n, sizes) for n in inner)
    return sizes[id(node)]


def _duplicates(node: yaml.Node | None, loc: tuple[int | str, ...]) -> Iterator[tuple[int, str]]:
    """PyYAML keeps the last of two equal keys without a word; an operator wants to know."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, f"{_path((*loc, key.value))}given twice"
            seen.add(key.value)
            yield from _duplicates(value, (*loc, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _duplicates(value, (*loc, i))
