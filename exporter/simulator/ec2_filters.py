"""The filters of each EC2 operation, and the member of a row that each looks at.

As the EC2 API reference lists them under each operation's `Filter.N`.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.listing import Look, path, tag_keys
from exporter.simulator.state import Row


def _rules(direction: str, member: str) -> Look:
    """Return what looks at the rules of one direction of a security group."""
    return path(f"{direction}.{member}")


def _tagged(looks: Mapping[str, str | Look]) -> dict[str, str | Look]:
    return {**looks, "tag-key": tag_keys}


def _protocol(row: Row) -> list[str]:
    return [entry["Protocol"] for entry in row.get("Entries", ())]


_RULE_MEMBERS = {
    "cidr": "IpRanges.CidrIp",
    "from-port": "FromPort",
    "group-id": "UserIdGroupPairs.GroupId",
    "ipv6-cidr": "Ipv6Ranges.CidrIpv6",
    "prefix-list-id": "PrefixListIds.PrefixListId",
    "protocol": "IpProtocol",
    "to-port": "ToPort",
    "user-id": "UserIdGroupPairs.UserId",
}

FILTERS: Mapping[str, Mapping[str, str | Look]] = {
    "DescribeVpcEndpoints": _tagged(
        {
            "ip-address-type": "IpAddressType",
            "service-name": "ServiceName",
            "service-region": "ServiceRegion",
            "vpc-id": "VpcId",
            "vpc-endpoint-id": "VpcEndpointId",
            "vpc-endpoint-state": "State",
            "vpc-endpoint-type": "VpcEndpointType",
        }
    ),
    "DescribeNetworkInterfaces": _tagged(
        {
            "addresses.private-ip-address": "PrivateIpAddresses.PrivateIpAddress",
            "attachment.instance-id": "Attachment.InstanceId",
            "availability-zone": "AvailabilityZone",
            "availability-zone-id": "AvailabilityZoneId",
            "description": "Description",
            "group-id": "Groups.GroupId",
            "interface-type": "InterfaceType",
            "ipv6-addresses.ipv6-address": "Ipv6Addresses.Ipv6Address",
            "network-interface-id": "NetworkInterfaceId",
            "operator.managed": "Operator.Managed",
            "operator.principal": "Operator.Principal",
            "owner-id": "OwnerId",
            "private-ip-address": "PrivateIpAddress",
            "requester-id": "RequesterId",
            "requester-managed": "RequesterManaged",
            "status": "Status",
            "subnet-id": "SubnetId",
            "vpc-id": "VpcId",
        }
    ),
    "DescribeVpcs": _tagged(
        {
            "cidr": "CidrBlock",
            "cidr-block-association.cidr-block": "CidrBlockAssociationSet.CidrBlock",
            "is-default": "IsDefault",
            "owner-id": "OwnerId",
            "state": "State",
            "vpc-id": "VpcId",
        }
    ),
    "DescribeSubnets": _tagged(
        {
            "availability-zone": "AvailabilityZone",
            "availability-zone-id": "AvailabilityZoneId",
            "cidr-block": "CidrBlock",
            "owner-id": "OwnerId",
            "state": "State",
            "subnet-id": "SubnetId",
            "vpc-id": "VpcId",
        }
    ),
    "DescribeFlowLogs": _tagged(
        {
            "deliver-log-status": "DeliverLogsStatus",
            "flow-log-id": "FlowLogId",
            "log-destination-type": "LogDestinationType",
            "log-group-name": "LogGroupName",
            "resource-id": "ResourceId",
            "traffic-type": "TrafficType",
        }
    ),
    "DescribeSecurityGroups": _tagged(
        {
            "description": "Description",
            "group-id": "GroupId",
            "group-name": "GroupName",
            "owner-id": "OwnerId",
            "vpc-id": "VpcId",
            **{f"ip-permission.{k}": _rules("IpPermissions", m) for k, m in _RULE_MEMBERS.items()},
            **{
                f"egress.ip-permission.{k}": _rules("IpPermissionsEgress", m)
                for k, m in _RULE_MEMBERS.items()
            },
        }
    ),
    "DescribeSecurityGroupRules": _tagged(
        {"group-id": "GroupId", "security-group-rule-id": "SecurityGroupRuleId"}
    ),
    "DescribeNetworkAcls": _tagged(
        {
            "association.association-id": "Associations.NetworkAclAssociationId",
            "association.network-acl-id": "Associations.NetworkAclId",
            "association.subnet-id": "Associations.SubnetId",
            "default": "IsDefault",
            "entry.cidr": "Entries.CidrBlock",
            "entry.egress": "Entries.Egress",
            "entry.protocol": _protocol,
            "entry.rule-action": "Entries.RuleAction",
            "entry.rule-number": "Entries.RuleNumber",
            "network-acl-id": "NetworkAclId",
            "owner-id": "OwnerId",
            "vpc-id": "VpcId",
        }
    ),
    "DescribeRouteTables": _tagged(
        {
            "association.main": "Associations.Main",
            "association.route-table-association-id": "Associations.RouteTableAssociationId",
            "association.route-table-id": "Associations.RouteTableId",
            "association.subnet-id": "Associations.SubnetId",
            "owner-id": "OwnerId",
            "route-table-id": "RouteTableId",
            "route.destination-cidr-block": "Routes.DestinationCidrBlock",
            "route.destination-prefix-list-id": "Routes.DestinationPrefixListId",
            "route.gateway-id": "Routes.GatewayId",
            "route.nat-gateway-id": "Routes.NatGatewayId",
            "route.state": "Routes.State",
            "route.transit-gateway-id": "Routes.TransitGatewayId",
            "vpc-id": "VpcId",
        }
    ),
    "DescribeManagedPrefixLists": {
        "owner-id": "OwnerId",
        "prefix-list-id": "PrefixListId",
        "prefix-list-name": "PrefixListName",
    },
    "DescribePrefixLists": {
        "prefix-list-id": "PrefixListId",
        "prefix-list-name": "PrefixListName",
    },
    "DescribeVpcEndpointServiceConfigurations": _tagged(
        {
            "service-id": "ServiceId",
            "service-name": "ServiceName",
            "service-state": "ServiceState",
            "supported-ip-address-types": "SupportedIpAddressTypes",
        }
    ),
    "DescribeVpcEndpointServicePermissions": {
        "permission-type": "PermissionType",
        "principal": "Principal",
        "principal-type": "PrincipalType",
    },
    "DescribeVpcEndpointConnections": {
        "ip-address-type": "IpAddressType",
        "service-id": "ServiceId",
        "vpc-endpoint-id": "VpcEndpointId",
        "vpc-endpoint-owner": "VpcEndpointOwner",
        "vpc-endpoint-region": "VpcEndpointRegion",
        "vpc-endpoint-state": "VpcEndpointState",
    },
    "DescribeVpcEndpointAssociations": {
        "associated-resource-accessibility": "AssociatedResourceAccessibility",
        "associated-resource-id": "AssociatedResourceArn",
        "association-id": "Id",
        "resource-configuration-group-arn": "ResourceConfigurationGroupArn",
        "service-network-arn": "ServiceNetworkArn",
        "vpc-endpoint-id": "VpcEndpointId",
    },
    "DescribeVpcEndpointServices": _tagged(
        {
            "owner": "Owner",
            "service-name": "ServiceName",
            "service-region": "ServiceRegion",
            "service-type": "ServiceType.ServiceType",
            "supported-ip-address-types": "SupportedIpAddressTypes",
        }
    ),
    "DescribeRegions": {
        "endpoint": "Endpoint",
        "opt-in-status": "OptInStatus",
        "region-name": "RegionName",
    },
    "DescribeAvailabilityZones": {
        "group-name": "GroupName",
        "opt-in-status": "OptInStatus",
        "region-name": "RegionName",
        "state": "State",
        "zone-id": "ZoneId",
        "zone-name": "ZoneName",
        "zone-type": "ZoneType",
    },
}
