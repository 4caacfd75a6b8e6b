"""What every scenario is declared with: VPCs and endpoints in which all is well but for one thing.

A declaration names only its deviation from the healthy default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from exporter.simulator.builder import Builder
from exporter.simulator.interfaces import ALL_OUT, Rule
from exporter.simulator.providers import Service
from exporter.simulator.providers import service as add_service
from exporter.simulator.state import Row, Scenario, Traffic, World
from exporter.simulator.world import RICH_FORMAT

Status = Literal["pass", "warn", "fail", "unknown"]


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC of the stage, with its two clients' interfaces and the builder it was built by."""

    id: str
    cidr: str
    build: Builder
    client_group: str
    clients: tuple[str, ...]


@dataclass(slots=True)
class Stage:
    """The organisation while it is built."""

    world: World
    management: Builder
    provider: Builder
    consumer: Builder
    consumer_us: Builder
    provider_vpc: str = ""
    services: dict[str, Service] = field(default_factory=dict)
    _networks: int = 0

    def vpc(
        self,
        name: str,
        *,
        build: Builder | None = None,
        flow_log: bool | Mapping[str, Any] = True,
        log_format: str = RICH_FORMAT,
        egress: Sequence[Rule] = ALL_OUT,
        ip: str = "ipv4",
        **deviation: Any,
    ) -> Vpc:
        """Add a VPC of three zones with clients and endpoints in subnets of their own.

        `flow_log` is how its flow log deviates from one to a log group, or whether it has one.
        """
        build = build or self.consumer
        self._networks += 1
        cidr = f"10.{self._networks}.0.0/16"
        vpc_id = build.vpc(
            cidr, name, zones=3, tiers=("app", "endpoints"), ipv6=ip != "ipv4", **deviation
        )
        if flow_log:
            given = {} if flow_log is True else flow_log
            build.flow_log(vpc_id, **{"group": f"/vpc/{name}", "log_format": log_format, **given})
        # Groups with IPv6 rules where there is IPv6.
        six: list[Rule] = [("-1", None, "::/0")] if ip != "ipv4" else []
        group = build.security_group(vpc_id, f"{name}-clients", None, egress=[*egress, *six])
        clients = tuple(
            build.client(vpc_id, zone, group_id=group, name=f"{name}-client", ip=ip)
            for zone in (0, 1)
        )
        return Vpc(vpc_id, cidr, build, group, clients)

    def endpoint(
        self,
        name: str,
        vpc: Vpc,
        service: str | Service,
        summary: str,
        *,
        check: str | None = None,
        status: Status = "pass",
        ingress: Sequence[Rule] | None = None,
        clients: Sequence[str] | None = None,
        late_rejects: bool = False,
        scanned: bool = False,
        answered: bool = True,
        **deviation: Any,
    ) -> str:
        """Add an endpoint, its clients' traffic and what there is to say about it; returns its id.

        An AWS service is given by its short name, such as sqs, and has private DNS.
        """
        build = vpc.build
        region = build.where.region
        if isinstance(service, Service):
            service_name = service.name
        else:
            service_name = f"com.amazonaws.{region}.{service}" if service else ""
            if service:
                deviation.setdefault("private_name", f"{service}.{region}.amazonaws.com")
        if ingress is None:
            ingress = [("tcp", 443, vpc.cidr)]
        if deviation.get("kind") != "GatewayLoadBalancer":
            deviation.setdefault(
                "group_id", build.security_group(vpc.id, f"{name}-endpoint", ingress=ingress)
            )
        endpoint_id = build.endpoint(vpc.id, name, service_name, **deviation)
        self.told(name, "endpoint", build, endpoint_id, summary, check, status)
        for client in vpc.clients if clients is None else clients:
            self.world.traffic.append(
                Traffic(
                    endpoint_id,
                    client,
                    late_rejects=late_rejects,
                    scanned=scanned and client == vpc.clients[0],
                    answered=answered,
                )
            )
        return endpoint_id

    def service(
        self,
        name: str,
        summary: str,
        *,
        check: str | None = None,
        status: Status = "pass",
        **deviation: Any,
    ) -> Service:
        """Add an endpoint service of the provider's and what there is to say about it."""
        found = add_service(self.provider, self.provider_vpc, name, **deviation)
        self.services[name] = found
        self.told(name, "service", self.provider, found.id, summary, check, status)
        return found

    def told(
        self,
        name: str,
        kind: Literal["endpoint", "service"],
        build: Builder,
        row_id: str,
        summary: str,
        check: str | None,
        status: Status,
    ) -> None:
        """Declare a scenario; its name is taken once."""
        assert name not in self.world.scenarios, name
        self.world.scenarios[name] = Scenario(
            name, kind, build.where.account, build.where.region, row_id, check, status, summary
        )

    def row(self, table: str, key: str, value: str) -> Row:
        """Return a row, to change it."""
        return self.world.row(table, key, value)
