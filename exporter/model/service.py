"""The provider's side: an endpoint service, who connects to it, the load balancers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.part import Scope

# ServiceConfiguration.ServiceState as the EC2 API reference lists it, in Prometheus's spelling.
# "unknown" is ours: a state that AWS has added since, or one not seen for too long.
SERVICE_STATES = ("pending", "available", "deleting", "deleted", "failed", "unknown")
# TargetHealth.State as the ELBv2 API reference lists it.
TARGET_STATES = (
    "initial",
    "healthy",
    "unhealthy",
    "unhealthy.draining",
    "unused",
    "draining",
    "unavailable",
)


@dataclass(frozen=True, slots=True)
class PrivateDnsName:
    """The private name of a service, and how far its owner has proven that it is theirs.

    `state` is pendingVerification, verified or failed; `record_*` is the TXT record to publish.
    https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
    """

    name: str
    state: str
    record_type: str = ""
    record_name: str = ""
    record_value: str = ""

    @property
    def verified(self) -> bool:
        """Whether consumers may use the name."""
        return self.state.lower() == "verified"


@dataclass(frozen=True, slots=True)
class EndpointService:
    """An endpoint service of this account; `load_balancer_arns` are its NLBs or GWLBs.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ServiceConfiguration.html
    """

    id: str
    scope: Scope
    service_name: str
    state: str
    types: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    zone_ids: tuple[str, ...] = ()
    acceptance_required: bool = False
    manages_endpoints: bool = False
    load_balancer_arns: tuple[str, ...] = ()
    private_dns: PrivateDnsName | None = None
    base_dns_names: tuple[str, ...] = ()
    ip_address_types: tuple[str, ...] = ()
    remote_access: bool = False
    supported_regions: tuple[str, ...] = ()
    # The state in AWS's own word: `state` is unknown for one that AWS has added since.
    aws_state: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The tag Name, or nothing."""
        return self.tags.get("Name", "")


@dataclass(frozen=True, slots=True)
class Connection:
    """An endpoint of a consumer at a service of this account; `state` as an endpoint's.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpointConnection.html
    """

    id: str
    service_id: str
    endpoint_id: str
    owner: str
    state: str
    region: str = ""
    created: float | None = None
    load_balancer_arns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who may create endpoints to a service."""

    type: str
    arn: str


@dataclass(frozen=True, slots=True)
class LoadBalancerZone:
    """A zone that a load balancer is in, by the zone's name in this account."""

    zone: str
    subnet_id: str


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A load balancer of an endpoint service; `id` is its ARN.

    `enforces_inbound` is whether its security groups judge traffic that comes by PrivateLink: on,
    off, or nothing where AWS does not say.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancer.html
    """

    id: str
    name: str
    type: str
    state: str
    vpc_id: str
    zones: tuple[LoadBalancerZone, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    enforces_inbound: str = ""
    ip_address_type: str = ""
    state_reason: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """What a load balancer listens on, and where it forwards."""

    id: str
    protocol: str
    port: int | None
    target_group_arns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group behind such a load balancer; `id` is its ARN.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroup.html
    """

    id: str
    name: str
    protocol: str
    port: int | None
    vpc_id: str
    target_type: str
    load_balancer_arns: tuple[str, ...] = ()
    health_check_protocol: str = ""
    health_check_port: str = ""
    health_check_enabled: bool = True
    ip_address_type: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A target and its health; `zone` is the zone's name, `all`, or nothing where AWS is silent.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """

    id: str
    port: int | None
    zone: str
    state: str
    reason: str = ""
    description: str = ""


def service_state(wire: str) -> str:
    """Return the state in our spelling; "unknown" for one we do not know."""
    state = wire.lower()
    return state if state in SERVICE_STATES else "unknown"
