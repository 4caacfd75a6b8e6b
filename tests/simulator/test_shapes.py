"""The XML of each operation has the elements that AWS's API reference shows, and nests them so."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from exporter.simulator.organisation import CONSUMER, PROVIDER
from exporter.simulator.server import Simulator
from tests.simulator.conftest import Client

# Under each operation, the elements of one item in the reference's example or list of members.
DOCUMENTED: dict[tuple[str, str, str], dict[str, str]] = {
    ("ec2", CONSUMER, "describe_vpc_endpoints"): {
        "vpcEndpointSet/item": "vpcEndpointId vpcEndpointType vpcId serviceName state "
        "policyDocument routeTableIdSet subnetIdSet groupSet ipAddressType dnsOptions "
        "privateDnsEnabled requesterManaged networkInterfaceIdSet dnsEntrySet "
        "creationTimestamp ownerId tagSet lastError serviceRegion serviceNetworkArn "
        "resourceConfigurationArn",
        "vpcEndpointSet/item/groupSet/item": "groupId groupName",
        "vpcEndpointSet/item/dnsEntrySet/item": "dnsName hostedZoneId",
        "vpcEndpointSet/item/dnsOptions": "dnsRecordIpType",
        "vpcEndpointSet/item/lastError": "code message",
        "vpcEndpointSet/item/tagSet/item": "key value",
    },
    ("ec2", CONSUMER, "describe_network_interfaces"): {
        "networkInterfaceSet/item": "networkInterfaceId subnetId vpcId availabilityZone "
        "description ownerId requesterManaged status privateIpAddress sourceDestCheck groupSet "
        "attachment tagSet privateIpAddressesSet ipv6AddressesSet interfaceType",
        "networkInterfaceSet/item/groupSet/item": "groupId groupName",
        "networkInterfaceSet/item/attachment": "attachmentId instanceId instanceOwnerId "
        "deviceIndex status",
        "networkInterfaceSet/item/privateIpAddressesSet/item": "privateIpAddress primary",
        "networkInterfaceSet/item/ipv6AddressesSet/item": "ipv6Address",
    },
    ("ec2", CONSUMER, "describe_vpcs"): {
        "vpcSet/item": "vpcId state cidrBlock cidrBlockAssociationSet ipv6CidrBlockAssociationSet "
        "dhcpOptionsId ownerId instanceTenancy isDefault tagSet",
        "vpcSet/item/cidrBlockAssociationSet/item": "associationId cidrBlock cidrBlockState",
        "vpcSet/item/cidrBlockAssociationSet/item/cidrBlockState": "state",
        "vpcSet/item/ipv6CidrBlockAssociationSet/item": "ipv6CidrBlock associationId "
        "ipv6CidrBlockState",
    },
    ("ec2", CONSUMER, "describe_subnets"): {
        "subnetSet/item": "subnetId subnetArn state ownerId vpcId cidrBlock "
        "ipv6CidrBlockAssociationSet availableIpAddressCount availabilityZone "
        "availabilityZoneId defaultForAz mapPublicIpOnLaunch tagSet",
    },
    ("ec2", CONSUMER, "describe_flow_logs"): {
        "flowLogSet/item": "creationTime deliverLogsPermissionArn deliverLogsStatus flowLogId "
        "flowLogStatus logGroupName resourceId trafficType logDestination logDestinationType "
        "logFormat maxAggregationInterval deliverLogsErrorMessage",
    },
    ("ec2", CONSUMER, "describe_security_groups"): {
        "securityGroupInfo/item": "ownerId groupId groupName groupDescription vpcId "
        "ipPermissions ipPermissionsEgress tagSet",
        "securityGroupInfo/item/ipPermissions/item": "ipProtocol fromPort toPort groups ipRanges "
        "ipv6Ranges prefixListIds",
        "securityGroupInfo/item/ipPermissions/item/groups/item": "groupId userId",
        "securityGroupInfo/item/ipPermissions/item/ipRanges/item": "cidrIp",
        "securityGroupInfo/item/ipPermissions/item/ipv6Ranges/item": "cidrIpv6",
        "securityGroupInfo/item/ipPermissions/item/prefixListIds/item": "prefixListId",
    },
    ("ec2", CONSUMER, "describe_security_group_rules"): {
        "securityGroupRuleSet/item": "securityGroupRuleId groupId groupOwnerId isEgress "
        "ipProtocol fromPort toPort cidrIpv4 cidrIpv6 prefixListId referencedGroupInfo",
        "securityGroupRuleSet/item/referencedGroupInfo": "groupId userId",
    },
    ("ec2", CONSUMER, "describe_network_acls"): {
        "networkAclSet/item": "networkAclId vpcId default entrySet associationSet tagSet ownerId",
        "networkAclSet/item/entrySet/item": "ruleNumber protocol ruleAction egress cidrBlock "
        "ipv6CidrBlock portRange",
        "networkAclSet/item/entrySet/item/portRange": "from to",
        "networkAclSet/item/associationSet/item": "networkAclAssociationId networkAclId subnetId",
    },
    ("ec2", CONSUMER, "describe_route_tables"): {
        "routeTableSet/item": "routeTableId vpcId routeSet associationSet propagatingVgwSet "
        "tagSet ownerId",
        "routeTableSet/item/routeSet/item": "destinationCidrBlock gatewayId state origin "
        "destinationPrefixListId natGatewayId transitGatewayId destinationIpv6CidrBlock",
        "routeTableSet/item/associationSet/item": "routeTableAssociationId routeTableId main "
        "subnetId associationState",
    },
    ("ec2", CONSUMER, "describe_managed_prefix_lists"): {
        "prefixListSet/item": "prefixListId addressFamily state prefixListArn prefixListName "
        "maxEntries version tagSet ownerId",
    },
    ("ec2", CONSUMER, "describe_prefix_lists"): {
        "prefixListSet/item": "cidrSet prefixListId prefixListName",
    },
    ("ec2", PROVIDER, "describe_vpc_endpoint_service_configurations"): {
        "serviceConfigurationSet/item": "serviceType serviceId serviceName serviceState "
        "availabilityZoneIdSet availabilityZoneSet acceptanceRequired managesVpcEndpoints "
        "networkLoadBalancerArnSet gatewayLoadBalancerArnSet supportedIpAddressTypeSet "
        "baseEndpointDnsNameSet privateDnsName privateDnsNameConfiguration tagSet "
        "supportedRegionSet remoteAccessEnabled",
        "serviceConfigurationSet/item/serviceType/item": "serviceType",
        "serviceConfigurationSet/item/privateDnsNameConfiguration": "state type value name",
        "serviceConfigurationSet/item/supportedRegionSet/item": "region serviceState",
    },
    ("ec2", PROVIDER, "describe_vpc_endpoint_connections"): {
        "vpcEndpointConnectionSet/item": "serviceId vpcEndpointId vpcEndpointOwner "
        "vpcEndpointState creationTimestamp dnsEntrySet networkLoadBalancerArnSet ipAddressType "
        "vpcEndpointConnectionId tagSet vpcEndpointRegion",
    },
    ("ec2", CONSUMER, "describe_vpc_endpoint_services"): {
        "": "serviceNameSet serviceDetailSet",
        "serviceDetailSet/item": "serviceName serviceId serviceType availabilityZoneSet owner "
        "baseEndpointDnsNameSet privateDnsName privateDnsNameSet vpcEndpointPolicySupported "
        "acceptanceRequired managesVpcEndpoints tagSet privateDnsNameVerificationState "
        "supportedIpAddressTypeSet serviceRegion",
        "serviceDetailSet/item/privateDnsNameSet/item": "privateDnsName",
    },
    ("ec2", CONSUMER, "describe_vpc_endpoint_associations"): {
        "vpcEndpointAssociationSet/item": "id vpcEndpointId serviceNetworkArn serviceNetworkName "
        "associatedResourceAccessibility failureReason failureCode dnsEntry "
        "associatedResourceArn tagSet",
        "vpcEndpointAssociationSet/item/dnsEntry": "dnsName hostedZoneId",
    },
    ("ec2", CONSUMER, "describe_regions"): {
        "regionInfo/item": "regionName regionEndpoint optInStatus",
    },
    ("ec2", CONSUMER, "describe_availability_zones"): {
        "availabilityZoneInfo/item": "optInStatus messageSet regionName zoneName zoneId groupName "
        "networkBorderGroup zoneType zoneState",
    },
    ("elbv2", PROVIDER, "describe_load_balancers"): {
        "DescribeLoadBalancersResult/LoadBalancers/member": "LoadBalancerArn Scheme "
        "LoadBalancerName VpcId CanonicalHostedZoneId CreatedTime AvailabilityZones DNSName "
        "State Type IpAddressType SecurityGroups "
        "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
        "DescribeLoadBalancersResult/LoadBalancers/member/AvailabilityZones/member": "SubnetId "
        "ZoneName",
        "DescribeLoadBalancersResult/LoadBalancers/member/State": "Code",
    },
    ("elbv2", PROVIDER, "describe_target_groups"): {
        "DescribeTargetGroupsResult/TargetGroups/member": "TargetGroupArn TargetGroupName "
        "Protocol Port VpcId HealthCheckProtocol HealthCheckPort HealthCheckEnabled "
        "HealthCheckIntervalSeconds HealthCheckTimeoutSeconds HealthyThresholdCount "
        "UnhealthyThresholdCount LoadBalancerArns TargetType IpAddressType",
    },
}


def local(tag: str) -> str:
    return tag.rpartition("}")[2]


def elements(root: ET.Element, path: str) -> set[str]:
    """Return the names of the elements under every element at the path."""
    found = [root]
    for step in filter(None, path.split("/")):
        found = [child for parent in found for child in parent if local(child.tag) == step]
    return {local(child.tag) for parent in found for child in parent}


@pytest.mark.parametrize("key", DOCUMENTED, ids=lambda key: str(key[2]))
def test_answers_are_worded_as_documented(client: Client, key: tuple[str, str, str]) -> None:
    """Each documented element is there, at its place; the answer's name and request id, too."""
    service, account, operation = key
    bodies: list[bytes] = []
    found = client(service, account)

    def keep(response_dict: dict[str, Any], **_: object) -> None:
        bodies.append(response_dict["body"])

    found.meta.events.register("before-parse", keep)
    try:
        getattr(found, operation)()
    finally:
        found.meta.events.unregister("before-parse", keep)
    root = ET.fromstring(bodies[0])
    assert local(root.tag) == f"{found.meta.method_to_api_mapping[operation]}Response"
    if service == "ec2":
        assert "requestId" in elements(root, "")
        assert "2016-11-15" in root.tag
    else:
        assert elements(root, "ResponseMetadata") == {"RequestId"}
    for path, names in DOCUMENTED[key].items():
        assert set(names.split()) <= elements(root, path), path


def test_states_are_spelled_as_on_the_wire(client: Client, quiet: Simulator) -> None:
    """An endpoint's state begins small, a service's large, whatever the enumerations say."""
    ec2 = client("ec2", PROVIDER)
    connections = ec2.describe_vpc_endpoint_connections()["VpcEndpointConnections"]
    assert {"available", "pendingAcceptance", "rejected"} <= {
        c["VpcEndpointState"] for c in connections
    }
    services = ec2.describe_vpc_endpoint_service_configurations()["ServiceConfigurations"]
    assert {s["ServiceState"] for s in services} == {"Available", "Failed", "Deleting"}
    private = {
        s["PrivateDnsNameConfiguration"]["State"]
        for s in services
        if "PrivateDnsNameConfiguration" in s
    }
    assert private == {"verified", "pendingVerification", "failed"}
