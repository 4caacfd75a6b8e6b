"""A provider's service in two zones and a consumer's endpoint to it, in which all is well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from exporter.model import (
    Accepted,
    Endpoint,
    EndpointService,
    Finding,
    Known,
    LoadBalancer,
    SecurityGroup,
    Subnet,
    Target,
    TargetGroup,
    Traffic,
    Vpc,
)
from tests.analysis.lab import NOW, PROVIDER, Lab, diagnosis

CLIENT = "10.1.9.7"


@dataclass
class Pair:
    """Both ends; `consumer` and `provider` are their labs."""

    consumer: Lab
    provider: Lab
    vpc: Vpc
    theirs: Vpc
    subnets: tuple[Subnet, Subnet]
    service: EndpointService
    endpoint: Endpoint

    @property
    def balancer(self) -> LoadBalancer:
        found: LoadBalancer = self.provider.listings["load_balancers"][
            self.service.load_balancer_arns[0]
        ]
        return found

    @property
    def group(self) -> TargetGroup:
        found = next(iter(self.provider.listings["target_groups"].values()))
        assert isinstance(found, TargetGroup)
        return found

    def of_service(self, check: str, off: tuple[str, ...] = ()) -> Finding:
        """What a check finds of the service, for all its consumers."""
        found = diagnosis(self.service, self.consumer, self.provider, off=off)
        (one,) = [f for f in found.checks if f.check == check]
        return one

    def on_endpoint(self, check: str, endpoint: Endpoint | None = None) -> Finding | None:
        """What the consumer's endpoint shows of a check of its service; None where nothing."""
        found = diagnosis(endpoint or self.endpoint, self.consumer, self.provider)
        return next((f for f in found.checks if f.check == check), None)

    def status_on_endpoint(self, check: str, endpoint: Endpoint | None = None) -> str:
        found = self.on_endpoint(check, endpoint)
        return found.status if found else "not shown"

    def another(self, zone: int = 1, **more: Any) -> Endpoint:
        """Add another consumer, connected like the first one."""
        subnet = self.consumer.add_subnet(self.vpc, f"10.1.{40 + zone}.0/24", zone=zone)
        address = str(subnet.cidrs[0][50 + len(self.consumer.listings["endpoints"])])
        more = {"service": self.service.service_name, **more}
        endpoint = self.consumer.add_endpoint(self.vpc, {address: subnet}, **more)
        self.provider.connect(self.service, endpoint)
        return endpoint

    def health(self, *states: str, zone: str = "", reason: str = "") -> None:
        """Let the targets, one in each zone, have these states; none for no targets."""
        targets = tuple(
            Target(str(subnet.cidrs[0][20]), 443, zone, state, reason)
            for subnet, state in zip(self.subnets, states, strict=False)
        )
        self.provider.details["target_health"][self.group.id] = Known(targets, NOW)

    def attribute(self, of: str, **values: str) -> None:
        """Set the cross-zone attribute of the `balancer` or of the target `group`."""
        name, key = {
            "balancer": ("load_balancer_attributes", self.balancer.id),
            "group": ("target_group_attributes", self.group.id),
        }[of]
        said = {"load_balancing.cross_zone.enabled": values["cross_zone"]}
        self.provider.details[name][key] = Known(said, NOW)

    def listen(self, *listeners: tuple[str, int]) -> None:
        """Replace the listeners by others, which forward to the same target group."""
        name = "listeners"
        (one, *_) = self.provider.details[name][self.balancer.id].value  # type: ignore[union-attr]
        found = tuple(
            replace(one, id=f"{one.id}{port}", protocol=protocol, port=port)
            for protocol, port in listeners
        )
        self.provider.details[name][self.balancer.id] = Known(found, NOW)

    def seen(
        self,
        *addresses: str,
        ports: tuple[tuple[int, int], ...] = ((6, 443),),
        answered: bool = False,
        endpoint: Endpoint | None = None,
    ) -> None:
        """Let flow logs tell of clients that the endpoint's interfaces have accepted."""
        self.consumer.traffic[(endpoint or self.endpoint).id] = Traffic(
            accepted_ports=frozenset(ports),
            clients=tuple(
                Accepted(ip_address(a), NOW - 60, NOW - 60 if answered else None) for a in addresses
            ),
        )


def pair(
    zones: tuple[int, ...] = (1, 2),
    *,
    nlb: SecurityGroup | None = None,
    enforces: str = "off",
    endpoint: dict[str, Any] | None = None,
    provider: Lab | None = None,
    theirs: Vpc | None = None,
    **service: Any,
) -> Pair:
    """A service in the zones 1 and 2, and an endpoint in these zones."""
    consumer, provider = Lab(), provider or Lab(PROVIDER)
    theirs = theirs or provider.add_vpc("10.200.0.0/16")
    subnets = (
        provider.add_subnet(theirs, "10.200.1.0/24", zone=1),
        provider.add_subnet(theirs, "10.200.2.0/24", zone=2),
    )
    if "target_groups" not in service:
        service["target_groups"] = [provider.add_group(theirs, ("10.200.0.0/16", 443))]
    made = provider.add_service(
        theirs, subnets, groups=[nlb] if nlb else (), enforces=enforces, **service
    )
    vpc = consumer.add_vpc("10.1.0.0/16")
    consumer.add_subnet(vpc, "10.1.9.0/24")
    own = {
        f"10.1.{zone}.10": consumer.add_subnet(vpc, f"10.1.{zone}.0/24", zone=zone)
        for zone in zones
    }
    guard = consumer.add_group(vpc, ("10.0.0.0/8", 443))
    more = {"service": made.service_name, "groups": [guard], **(endpoint or {})}
    found = consumer.add_endpoint(vpc, own, **more)
    provider.connect(made, found)
    return Pair(consumer, provider, vpc, theirs, subnets, made, found)
