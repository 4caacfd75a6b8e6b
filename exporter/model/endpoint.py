"""The consumer's side: an endpoint, its names, what it is associated with, its service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from exporter.model.part import Scope
from exporter.model.region import REGION

# "service" is a name that is not the endpoint's: the service's own, where private DNS is off.
NameKind: TypeAlias = Literal["regional", "zonal", "private", "service"]

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
    # True where the private name is answered for inbound resolver endpoints alone: in the VPC the
    # gateway endpoint is meant to be used.
    private_dns_inbound_only: bool = False
    service_network_arn: str = ""
    resource_configuration_arn: str = ""
    dns_names: tuple[DnsName, ...] = ()
    requester_managed: bool = False
    policy: str | None = None
    created: float | None = None
    # The state in AWS's own word: `state` is unknown for one that AWS has added since.
    aws_state: str = ""
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
class EndpointAssociation:
    """What a Resource or ServiceNetwork endpoint reaches.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpointAssociation.html
    """

    id: str
    endpoint_id: str
    service_network_arn: str = ""
    service_network_name: str = ""
    resource_arn: str = ""
    accessibility: str = ""
    failure: str | None = None
    dns_names: tuple[str, ...] = ()
    private_dns_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceDetail:
    """A service as its consumers see it; `owner` is an account or `amazon`.

    Several services may have one name: S3 by gateway endpoints and by interface endpoints has.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ServiceDetail.html
    """

    id: str
    service_name: str
    types: tuple[str, ...] = ()
    owner: str = ""
    region: str = ""
    zones: tuple[str, ...] = ()
    zone_ids: tuple[str, ...] = ()
    private_dns_names: tuple[str, ...] = ()
    private_dns_state: str = ""
    policy_supported: bool = False
    acceptance_required: bool = False
    ip_address_types: tuple[str, ...] = ()

    @property
    def proven_names(self) -> tuple[str, ...]:
        """The private names that consumers may use: none that the owner has not proven as theirs.

        https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
        """
        unproven = self.private_dns_state.lower() in ("pendingverification", "failed")
        return () if unproven else self.private_dns_names


_ENDPOINT_ZONE = re.compile(REGION + r"(-[a-z]+-\d+)?[a-z]$")
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
