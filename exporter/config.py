"""The configuration file, typed: every error at once, each with its line and path."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from exporter import strictyaml
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


REGION = r"[a-z]{2}(-[a-z]+)+-\d+"

Duration = Annotated[float, BeforeValidator(duration)]
Interval = Annotated[Duration, _between("100ms", "24h")]
Region = Annotated[str, _like(REGION, "eu-west-1")]
RoleArn = Annotated[
    str,
    _like(
        r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+",
        "arn:aws:iam::111122223333:role/privatelink-exporter",
    ),
]
VpcId = Annotated[str, _like(r"vpc-[0-9a-f]+", "vpc-0a1b2c3d4e5f60718")]


class Account(Model):
    """One account: a role to assume, or without one the process's own credentials."""

    role_arn: RoleArn | None = None
    external_id: Annotated[str, StringConstraints(min_length=2, max_length=1224)] | None = Field(
        default=None, repr=False
    )
    regions: tuple[Region, ...] = ()

    @property
    def id(self) -> str | None:
        """The role's account id; None for the process's own credentials."""
        return self.role_arn.split(":")[4] if self.role_arn else None

    @model_validator(mode="after")
    def _complete(self) -> Account:
        if self.external_id and not self.role_arn:
            raise ValueError("external_id goes with role_arn")
        if self.role_arn and not self.regions:
            raise ValueError("regions: name at least one Region for this role")
        return self


class Resolver(Model):
    """A DNS server to ask; `vpcs` are those whose clients it answers, empty for all."""

    address: Annotated[str, AfterValidator(_address)]
    vpcs: tuple[VpcId, ...] = ()


class InventoryCollector(Model):
    """How often AWS is listed."""

    interval: Interval = 60.0


class DnsCollector(Model):
    """How often names are resolved, and by whom; no resolvers: the system's."""

    interval: Interval = 30.0
    resolvers: tuple[Resolver, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> DnsCollector:
        for i, resolver in enumerate(self.resolvers):
            if any(resolver.address == other.address for other in self.resolvers[:i]):
                raise ValueError(f"resolvers[{i}]: {resolver.address} is listed twice")
        return self


class FlowLogsCollector(Model):
    """How often flow logs are read, and how long after its end a record may still arrive."""

    interval: Interval = 60.0
    lookback: Annotated[Duration, _between("1s", "24h")] = 1800.0


class Collectors(Model):
    """The collectors."""

    inventory: InventoryCollector = InventoryCollector()
    dns: DnsCollector = DnsCollector()
    flow_logs: FlowLogsCollector = FlowLogsCollector()


class Storage(Model):
    """Where counters and cursors are kept: a directory."""

    path: Annotated[str, _like(r"[^\0]+", "./state")] = "./state"


class Config(Model):
    """The whole file."""

    accounts: tuple[Account, ...] = ()
    collectors: Collectors = Collectors()
    storage: Storage = Storage()

    @model_validator(mode="after")
    def _once(self) -> Config:
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
    return parse(strictyaml.read(path), str(path))


def parse(text: str, source: str) -> Config:
    """Return the configuration in a text; `source` names it in the errors of a ConfigError."""
    return strictyaml.parse(text, source, Config)
