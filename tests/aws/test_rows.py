"""What AWS says, on the wire as its API reference shows it, and what we make of it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from exporter.aws import endpoints, network, services
from exporter.model import (
    Connection,
    DnsName,
    Endpoint,
    EndpointAssociation,
    EndpointService,
    Interface,
    Listener,
    LoadBalancer,
    LoadBalancerZone,
    NetworkAcl,
    NetworkAclEntry,
    PrefixList,
    Principal,
    PrivateDnsName,
    Route,
    RouteTable,
    Scope,
    SecurityGroupRule,
    ServiceDetail,
    Target,
    TargetGroup,
)

SCOPE = Scope("111122223333", "eu-west-1")
MODELS = {
    name: ServiceModel(Loader().load_service_model(name, "service-2")) for name in ("ec2", "elbv2")
}
VPCE = "vpce-0a1b2c3d4e5f60718"
ARN = "arn:aws:elasticloadbalancing:eu-west-1:111122223333"


def parsed(service: str, operation: str, key: str, xml: str) -> list[dict[str, Any]]:
    """Return the rows that botocore reads from the body of an answer."""
    model = MODELS[service].operation_model(operation)
    parser = create_parser(MODELS[service].metadata["protocol"])
    if service == "elbv2":
        xml = f"<{operation}Result>{xml}</{operation}Result>"
    body = f"<{operation}Response>{xml}</{operation}Response>".encode()
    answer = parser.parse({"body": body, "status_code": 200, "headers": {}}, model.output_shape)
    rows: list[dict[str, Any]] = answer[key]
    return rows


def test_an_endpoint() -> None:
    """States in camel case, names in no order, the error of a failed one."""
    xml = f"""<vpcEndpointSet><item><vpcEndpointId>{VPCE}</vpcEndpointId>
    <vpcEndpointType>Interface</vpcEndpointType><vpcId>vpc-0a1</vpcId>
    <serviceName>com.amazonaws.vpce.eu-west-1.vpce-svc-0a1</serviceName>
    <state>pendingAcceptance</state><policyDocument>{{"Statement":[]}}</policyDocument>
    <routeTableIdSet/><subnetIdSet><item>subnet-0a1</item></subnetIdSet>
    <groupSet><item><groupId>sg-0a1</groupId><groupName>default</groupName></item></groupSet>
    <ipAddressType>dualstack</ipAddressType>
    <dnsOptions><dnsRecordIpType>dualstack</dnsRecordIpType>
    <privateDnsOnlyForInboundResolverEndpoint>true</privateDnsOnlyForInboundResolverEndpoint>
    </dnsOptions><privateDnsEnabled>true</privateDnsEnabled>
    <requesterManaged>false</requesterManaged>
    <networkInterfaceIdSet><item>eni-0a1</item></networkInterfaceIdSet>
    <dnsEntrySet>
    <item><dnsName>{VPCE}-x1y2.svc.eu-west-1.vpce.amazonaws.com</dnsName></item>
    <item><dnsName>payments.example.com</dnsName></item>
    <item><dnsName>{VPCE}-x1y2-eu-west-1b.svc.eu-west-1.vpce.amazonaws.com</dnsName></item>
    </dnsEntrySet><creationTimestamp>2024-01-01T00:00:00.000Z</creationTimestamp>
    <tagSet><item><key>team</key><value>payments</value></item></tagSet>
    <ownerId>111122223333</ownerId><serviceRegion>us-east-1</serviceRegion>
    <lastError><message>No such service.</message><code>InvalidService</code></lastError>
    </item></vpcEndpointSet>"""
    (row,) = parsed("ec2", "DescribeVpcEndpoints", "VpcEndpoints", xml)
    assert endpoints.endpoint(row, SCOPE) == Endpoint(
        id=VPCE,
        scope=SCOPE,
        type="Interface",
        state="pending_acceptance",
        aws_state="pendingAcceptance",
        service_name="com.amazonaws.vpce.eu-west-1.vpce-svc-0a1",
        vpc_id="vpc-0a1",
        service_region="us-east-1",
        owner="111122223333",
        subnet_ids=("subnet-0a1",),
        interface_ids=("eni-0a1",),
        security_group_ids=("sg-0a1",),
        ip_address_type="dualstack",
        dns_record_ip_type="dualstack",
        private_dns_enabled=True,
        private_dns_inbound_only=True,
        dns_names=(
            DnsName(f"{VPCE}-x1y2.svc.eu-west-1.vpce.amazonaws.com", "regional"),
            DnsName("payments.example.com", "private"),
            DnsName(
                f"{VPCE}-x1y2-eu-west-1b.svc.eu-west-1.vpce.amazonaws.com", "zonal", "eu-west-1b"
            ),
        ),
        policy='{"Statement":[]}',
        created=1704067200.0,
        last_error="InvalidService: No such service.",
        tags={"team": "payments"},
    )


def test_what_an_endpoint_reaches() -> None:
    """Associations of resource endpoints, and services as consumers see them."""
    xml = f"""<vpcEndpointAssociationSet><item><id>vpce-rsc-asc-0a1</id>
    <vpcEndpointId>{VPCE}</vpcEndpointId>
    <associatedResourceAccessibility>Inaccessible</associatedResourceAccessibility>
    <associatedResourceArn>arn:aws:vpc-lattice:eu-west-1:444455556666:resourceconfiguration/rcfg-0a1
    </associatedResourceArn><failureCode>RESOURCE_CONFIGURATION_DELETED</failureCode>
    <failureReason>It was deleted.</failureReason>
    <dnsEntry><dnsName>a.example.com</dnsName></dnsEntry></item></vpcEndpointAssociationSet>"""
    (row,) = parsed("ec2", "DescribeVpcEndpointAssociations", "VpcEndpointAssociations", xml)
    assert endpoints.association(row) == EndpointAssociation(
        "vpce-rsc-asc-0a1",
        VPCE,
        resource_arn=row["AssociatedResourceArn"],
        accessibility="Inaccessible",
        failure="RESOURCE_CONFIGURATION_DELETED It was deleted.",
        dns_names=("a.example.com",),
    )
    xml = """<serviceDetailSet><item><serviceName>com.amazonaws.eu-west-1.s3</serviceName>
    <serviceId>vpce-svc-0a1</serviceId>
    <serviceType><item><serviceType>Interface</serviceType></item></serviceType>
    <availabilityZoneSet><item>eu-west-1a</item></availabilityZoneSet>
    <availabilityZoneIdSet><item>euw1-az2</item></availabilityZoneIdSet>
    <owner>amazon</owner><privateDnsName>s3.eu-west-1.amazonaws.com</privateDnsName>
    <privateDnsNameSet><item><privateDnsName>s3.eu-west-1.amazonaws.com</privateDnsName></item>
    </privateDnsNameSet><vpcEndpointPolicySupported>true</vpcEndpointPolicySupported>
    <acceptanceRequired>false</acceptanceRequired>
    <privateDnsNameVerificationState>verified</privateDnsNameVerificationState>
    </item></serviceDetailSet>"""
    (row,) = parsed("ec2", "DescribeVpcEndpointServices", "ServiceDetails", xml)
    assert endpoints.service_detail(row) == ServiceDetail(
        "vpce-svc-0a1",
        "com.amazonaws.eu-west-1.s3",
        ("Interface",),
        "amazon",
        zones=("eu-west-1a",),
        zone_ids=("euw1-az2",),
        private_dns_names=("s3.eu-west-1.amazonaws.com",),
        private_dns_state="verified",
        policy_supported=True,
    )


def test_an_interface() -> None:
    """All addresses, v4 and v6, secondary ones too, and the instance it belongs to."""
    xml = """<networkInterfaceSet><item><networkInterfaceId>eni-0a1</networkInterfaceId>
    <subnetId>subnet-0a1</subnetId><vpcId>vpc-0a1</vpcId>
    <availabilityZone>eu-west-1a</availabilityZone><availabilityZoneId>euw1-az2</availabilityZoneId>
    <description>ELB net/payments/50dc6c495c0c9188</description><ownerId>111122223333</ownerId>
    <status>in-use</status><privateIpAddress>10.0.0.9</privateIpAddress>
    <groupSet><item><groupId>sg-0a1</groupId></item></groupSet>
    <attachment><instanceId>i-0a1</instanceId></attachment>
    <privateIpAddressesSet><item><privateIpAddress>10.0.0.10</privateIpAddress></item>
    <item><privateIpAddress>10.0.0.9</privateIpAddress></item></privateIpAddressesSet>
    <ipv6AddressesSet><item><ipv6Address>2001:db8::9</ipv6Address></item></ipv6AddressesSet>
    <interfaceType>network_load_balancer</interfaceType></item></networkInterfaceSet>"""
    (row,) = parsed("ec2", "DescribeNetworkInterfaces", "NetworkInterfaces", xml)
    assert network.interface(row) == Interface(
        "eni-0a1",
        "vpc-0a1",
        "subnet-0a1",
        "eu-west-1a",
        "euw1-az2",
        (ip_address("10.0.0.9"), ip_address("10.0.0.10"), ip_address("2001:db8::9")),
        ("sg-0a1",),
        "network_load_balancer",
        "in-use",
        "ELB net/payments/50dc6c495c0c9188",
        "111122223333",
        "i-0a1",
    )


@pytest.mark.parametrize(
    ("xml", "egress", "protocol", "ports", "other"),
    [
        ("<fromPort>443</fromPort><toPort>443</toPort><cidrIpv4>10.0.0.0/8</cidrIpv4>", "false",
         "tcp", (443, 443), {"cidr": ip_network("10.0.0.0/8")}),
        ("<fromPort>-1</fromPort><toPort>-1</toPort><cidrIpv6>::/0</cidrIpv6>", "true",
         "-1", (None, None), {"cidr": ip_network("::/0")}),
        ("<fromPort>0</fromPort><toPort>65535</toPort><prefixListId>pl-0a1</prefixListId>", "false",
         "udp", (0, 65535), {"prefix_list_id": "pl-0a1"}),
        ("<fromPort>8</fromPort><toPort>-1</toPort><cidrIpv4>10.1.2.3/16</cidrIpv4>", "false",
         "icmp", (8, None), {"cidr": ip_network("10.1.0.0/16")}),
        ("<fromPort>1</fromPort><toPort>2</toPort><referencedGroupInfo><groupId>sg-0b1</groupId>"
         "<userId>444455556666</userId><vpcPeeringConnectionId>pcx-0a1</vpcPeeringConnectionId>"
         "<peeringStatus>active</peeringStatus></referencedGroupInfo>", "false", "tcp", (1, 2),
         {"referenced_group_id": "sg-0b1", "referenced_account": "444455556666",
          "peering_connection_id": "pcx-0a1", "peering_status": "active"}),
    ],
    ids=["v4", "everything to v6", "prefix list", "ICMP of every code", "a peer's group"],
)  # fmt: skip
def test_a_security_group_rule(
    xml: str,
    egress: str,
    protocol: str,
    ports: tuple[int | None, int | None],
    other: dict[str, Any],
) -> None:
    """Its other side is a block, a prefix list or a group; -1 is every port."""
    (row,) = parsed(
        "ec2",
        "DescribeSecurityGroupRules",
        "SecurityGroupRules",
        f"<securityGroupRuleSet><item><securityGroupRuleId>sgr-0a1</securityGroupRuleId>"
        f"<groupId>sg-0a1</groupId><isEgress>{egress}</isEgress>"
        f"<ipProtocol>{protocol}</ipProtocol>{xml}</item></securityGroupRuleSet>",
    )
    assert network.security_group_rule(row) == SecurityGroupRule(
        "sgr-0a1", "sg-0a1", egress == "true", protocol, *ports, **other
    )


def test_a_rule_without_another_side_is_malformed() -> None:
    """A rule that names nobody is not taken for one that names everybody."""
    row = {"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "IsEgress": False, "IpProtocol": "-1"}
    with pytest.raises(ValueError, match="sgr-1 names no source"):
        network.security_group_rule(row)


def test_a_network_acl() -> None:
    """Entries come in the order in which they are judged, with ports, ICMP types or neither."""
    xml = """<networkAclSet><item><networkAclId>acl-0a1</networkAclId><vpcId>vpc-0a1</vpcId>
    <default>true</default><entrySet>
    <item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction>
    <egress>false</egress><cidrBlock>0.0.0.0/0</cidrBlock></item>
    <item><ruleNumber>100</ruleNumber><protocol>6</protocol><ruleAction>allow</ruleAction>
    <egress>false</egress><ipv6CidrBlock>::/0</ipv6CidrBlock>
    <portRange><from>443</from><to>443</to></portRange></item>
    <item><ruleNumber>110</ruleNumber><protocol>1</protocol><ruleAction>allow</ruleAction>
    <egress>true</egress><cidrBlock>10.0.0.0/8</cidrBlock>
    <icmpTypeCode><type>-1</type><code>-1</code></icmpTypeCode></item></entrySet>
    <associationSet><item><networkAclAssociationId>aclassoc-1</networkAclAssociationId>
    <networkAclId>acl-0a1</networkAclId><subnetId>subnet-0a1</subnetId></item></associationSet>
    </item></networkAclSet>"""
    (row,) = parsed("ec2", "DescribeNetworkAcls", "NetworkAcls", xml)
    everyone = ip_network("0.0.0.0/0")
    assert network.network_acl(row) == NetworkAcl(
        "acl-0a1",
        "vpc-0a1",
        True,
        ("subnet-0a1",),
        (
            NetworkAclEntry(100, False, True, "6", ip_network("::/0"), 443, 443),
            NetworkAclEntry(32767, False, False, "-1", everyone),
            NetworkAclEntry(
                110, True, True, "1", ip_network("10.0.0.0/8"), icmp_type=-1, icmp_code=-1
            ),
        ),
    )


def test_a_route_table() -> None:
    """Routes to blocks and prefix lists, by whatever leads there, blackholes too."""
    xml = """<routeTableSet><item><routeTableId>rtb-0a1</routeTableId><vpcId>vpc-0a1</vpcId>
    <routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock>
    <gatewayId>local</gatewayId><state>active</state><origin>CreateRouteTable</origin></item>
    <item><destinationPrefixListId>pl-0a1</destinationPrefixListId><gatewayId>vpce-0a1</gatewayId>
    <state>active</state><origin>CreateRoute</origin></item>
    <item><destinationIpv6CidrBlock>::/0</destinationIpv6CidrBlock>
    <egressOnlyInternetGatewayId>eigw-0a1</egressOnlyInternetGatewayId><state>active</state>
    <origin>CreateRoute</origin></item>
    <item><destinationCidrBlock>10.9.0.0/16</destinationCidrBlock>
    <transitGatewayId>tgw-0a1</transitGatewayId><state>blackhole</state>
    <origin>CreateRoute</origin></item></routeSet>
    <associationSet><item><main>true</main></item><item><main>false</main>
    <subnetId>subnet-0a1</subnetId></item><item><main>false</main><gatewayId>igw-0a1</gatewayId>
    </item></associationSet></item></routeTableSet>"""
    (row,) = parsed("ec2", "DescribeRouteTables", "RouteTables", xml)
    assert network.route_table(row) == RouteTable(
        "rtb-0a1",
        "vpc-0a1",
        True,
        ("subnet-0a1",),
        (
            Route(ip_network("10.0.0.0/16"), "local", "active", "CreateRouteTable"),
            Route("pl-0a1", "vpce-0a1", "active", "CreateRoute"),
            Route(ip_network("::/0"), "eigw-0a1", "active", "CreateRoute"),
            Route(ip_network("10.9.0.0/16"), "tgw-0a1", "blackhole", "CreateRoute"),
        ),
        ("igw-0a1",),
    )


def test_a_prefix_list() -> None:
    """AWS's own ones are owned by AWS."""
    xml = """<prefixListSet><item><prefixListId>pl-0a1</prefixListId>
    <prefixListName>com.amazonaws.eu-west-1.s3</prefixListName><addressFamily>IPv4</addressFamily>
    <ownerId>AWS</ownerId><state>create-complete</state><version>3</version></item>
    </prefixListSet>"""
    (row,) = parsed("ec2", "DescribeManagedPrefixLists", "PrefixLists", xml)
    assert network.prefix_list(row) == PrefixList(
        "pl-0a1", "com.amazonaws.eu-west-1.s3", "AWS", "IPv4", "create-complete", 3
    )


def test_blocks_that_were_given_back_are_not_the_vpc_s() -> None:
    """A disassociated block is still listed for a while."""
    row = {
        "VpcId": "vpc-0a1",
        "CidrBlock": "10.0.0.0/16",
        "CidrBlockAssociationSet": [
            {"CidrBlock": "10.0.0.0/16", "CidrBlockState": {"State": "associated"}},
            {"CidrBlock": "10.1.0.0/16", "CidrBlockState": {"State": "disassociated"}},
        ],
        "Ipv6CidrBlockAssociationSet": [
            {"Ipv6CidrBlock": "2001:db8::/56", "Ipv6CidrBlockState": {"State": "associated"}}
        ],
    }
    assert network.vpc(row).cidrs == (ip_network("10.0.0.0/16"), ip_network("2001:db8::/56"))


def test_a_service() -> None:
    """State, zones, both kinds of load balancers, and the record that proves its private name."""
    xml = f"""<serviceConfigurationSet><item><serviceId>vpce-svc-0a1</serviceId>
    <serviceName>com.amazonaws.vpce.eu-west-1.vpce-svc-0a1</serviceName>
    <serviceType><item><serviceType>Interface</serviceType></item></serviceType>
    <serviceState>Available</serviceState><acceptanceRequired>true</acceptanceRequired>
    <managesVpcEndpoints>false</managesVpcEndpoints>
    <availabilityZoneSet><item>eu-west-1a</item></availabilityZoneSet>
    <availabilityZoneIdSet><item>euw1-az1</item></availabilityZoneIdSet>
    <networkLoadBalancerArnSet><item>{ARN}:loadbalancer/net/a/1</item></networkLoadBalancerArnSet>
    <baseEndpointDnsNameSet><item>vpce-svc-0a1.eu-west-1.vpce.amazonaws.com</item>
    </baseEndpointDnsNameSet><supportedIpAddressTypeSet><item>ipv4</item>
    </supportedIpAddressTypeSet><privateDnsName>payments.example.com</privateDnsName>
    <privateDnsNameConfiguration><state>pendingVerification</state><type>TXT</type>
    <value>vpce:l6p0ERxlTt45jevFwOCp</value><name>_6e86v84tqgqubxbwii1m</name>
    </privateDnsNameConfiguration><remoteAccessEnabled>true</remoteAccessEnabled>
    <supportedRegionSet><item><region>us-east-1</region><serviceState>Available</serviceState>
    </item></supportedRegionSet></item></serviceConfigurationSet>"""
    (row,) = parsed("ec2", "DescribeVpcEndpointServiceConfigurations", "ServiceConfigurations", xml)
    assert services.service(row, SCOPE) == EndpointService(
        id="vpce-svc-0a1",
        scope=SCOPE,
        service_name="com.amazonaws.vpce.eu-west-1.vpce-svc-0a1",
        state="available",
        aws_state="Available",
        types=("Interface",),
        zones=("eu-west-1a",),
        zone_ids=("euw1-az1",),
        acceptance_required=True,
        load_balancer_arns=(f"{ARN}:loadbalancer/net/a/1",),
        private_dns=PrivateDnsName(
            "payments.example.com",
            "pendingVerification",
            "TXT",
            "_6e86v84tqgqubxbwii1m",
            "vpce:l6p0ERxlTt45jevFwOCp",
        ),
        base_dns_names=("vpce-svc-0a1.eu-west-1.vpce.amazonaws.com",),
        ip_address_types=("ipv4",),
        remote_access=True,
        supported_regions=("us-east-1",),
    )


def test_who_connects() -> None:
    """A connection has the consumer's state; a permission has the principal."""
    xml = f"""<vpcEndpointConnectionSet><item><serviceId>vpce-svc-0a1</serviceId>
    <vpcEndpointId>{VPCE}</vpcEndpointId><vpcEndpointOwner>222233334444</vpcEndpointOwner>
    <vpcEndpointState>pendingAcceptance</vpcEndpointState>
    <creationTimestamp>2024-01-01T00:00:00.000Z</creationTimestamp>
    <networkLoadBalancerArnSet><item>{ARN}:loadbalancer/net/a/1</item></networkLoadBalancerArnSet>
    <vpcEndpointConnectionId>vpce-con-0a1</vpcEndpointConnectionId>
    <vpcEndpointRegion>us-east-1</vpcEndpointRegion></item></vpcEndpointConnectionSet>"""
    (row,) = parsed("ec2", "DescribeVpcEndpointConnections", "VpcEndpointConnections", xml)
    assert services.connection(row) == Connection(
        "vpce-con-0a1",
        "vpce-svc-0a1",
        VPCE,
        "222233334444",
        "pending_acceptance",
        "us-east-1",
        1704067200.0,
        (f"{ARN}:loadbalancer/net/a/1",),
    )
    xml = """<allowedPrincipals><item><principalType>Account</principalType>
    <principal>arn:aws:iam::222233334444:root</principal></item></allowedPrincipals>"""
    (row,) = parsed("ec2", "DescribeVpcEndpointServicePermissions", "AllowedPrincipals", xml)
    assert services.principal(row) == Principal("Account", "arn:aws:iam::222233334444:root")


def member(text: str) -> str:
    return f"<member>{text}</member>"


ELB: list[tuple[str, str, str, Callable[[Any], Any], Any]] = [
    (
        "DescribeLoadBalancers",
        "LoadBalancers",
        f"<LoadBalancerArn>{ARN}:loadbalancer/net/a/1</LoadBalancerArn>"
        "<LoadBalancerName>a</LoadBalancerName><Type>network</Type><VpcId>vpc-0a1</VpcId>"
        "<State><Code>active</Code></State><IpAddressType>ipv4</IpAddressType>"
        "<EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic>on"
        "</EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic>"
        f"<SecurityGroups>{member('sg-0a1')}</SecurityGroups><AvailabilityZones>"
        + member("<ZoneName>eu-west-1a</ZoneName><SubnetId>subnet-0a1</SubnetId>")
        + "</AvailabilityZones>",
        services.load_balancer,
        LoadBalancer(
            f"{ARN}:loadbalancer/net/a/1",
            "a",
            "network",
            "active",
            "vpc-0a1",
            (LoadBalancerZone("eu-west-1a", "subnet-0a1"),),
            ("sg-0a1",),
            "on",
            "ipv4",
        ),
    ),
    (
        "DescribeListeners",
        "Listeners",
        f"<ListenerArn>{ARN}:listener/net/a/1/2</ListenerArn><Protocol>TLS</Protocol>"
        "<Port>443</Port><DefaultActions>"
        + member(
            f"<Type>forward</Type><TargetGroupArn>{ARN}:targetgroup/a/1</TargetGroupArn>"
            "<ForwardConfig><TargetGroups>"
            + member(f"<TargetGroupArn>{ARN}:targetgroup/a/1</TargetGroupArn>")
            + "</TargetGroups></ForwardConfig>"
        )
        + "</DefaultActions>",
        services.listener,
        Listener(f"{ARN}:listener/net/a/1/2", "TLS", 443, (f"{ARN}:targetgroup/a/1",)),
    ),
    (
        "DescribeTargetGroups",
        "TargetGroups",
        f"<TargetGroupArn>{ARN}:targetgroup/a/1</TargetGroupArn><TargetGroupName>a"
        "</TargetGroupName><Protocol>TCP</Protocol><Port>8443</Port><VpcId>vpc-0a1</VpcId>"
        "<TargetType>ip</TargetType><HealthCheckProtocol>TCP</HealthCheckProtocol>"
        "<HealthCheckPort>traffic-port</HealthCheckPort><HealthCheckEnabled>true"
        "</HealthCheckEnabled><IpAddressType>ipv4</IpAddressType>"
        f"<LoadBalancerArns>{member(ARN + ':loadbalancer/net/a/1')}</LoadBalancerArns>",
        services.target_group,
        TargetGroup(
            f"{ARN}:targetgroup/a/1",
            "a",
            "TCP",
            8443,
            "vpc-0a1",
            "ip",
            (f"{ARN}:loadbalancer/net/a/1",),
            "TCP",
            "traffic-port",
            True,
            "ipv4",
        ),
    ),
    (
        "DescribeTargetHealth",
        "TargetHealthDescriptions",
        "<HealthCheckPort>8443</HealthCheckPort><Target><Id>10.0.0.9</Id><Port>8443</Port>"
        "<AvailabilityZone>eu-west-1a</AvailabilityZone></Target><TargetHealth>"
        "<State>unhealthy</State><Reason>Target.FailedHealthChecks</Reason>"
        "<Description>Health checks failed</Description></TargetHealth>",
        services.target,
        Target(
            "10.0.0.9",
            8443,
            "eu-west-1a",
            "unhealthy",
            "Target.FailedHealthChecks",
            "Health checks failed",
        ),
    ),
]


@pytest.mark.parametrize(
    ("operation", "key", "xml", "translate", "expected"), ELB, ids=[case[0] for case in ELB]
)
def test_load_balancers(
    operation: str, key: str, xml: str, translate: Callable[[Any], Any], expected: Any
) -> None:
    """What is behind a service: load balancer, listener, target group, target and its health."""
    (row,) = parsed("elbv2", operation, key, f"<{key}>{member(xml)}</{key}>")
    assert translate(row) == expected


def test_rows_of_older_and_partial_answers() -> None:
    """What an answer leaves out is tolerated; what identifies a row is not."""
    row = {"VpcEndpointId": "vpce-0a1", "VpcId": "vpc-0a1", "State": "Available"}
    endpoint = endpoints.endpoint(row, SCOPE)
    assert (endpoint.type, endpoint.state, endpoint.dns_names) == ("Gateway", "available", ())
    with pytest.raises(KeyError):
        endpoints.endpoint({"State": "available"}, SCOPE)
    group = network.flow_log(
        {
            "FlowLogId": "fl-1",
            "ResourceId": "vpc-1",
            "LogDestination": "arn:aws:logs:eu-west-1:111122223333:log-group:/a/b:*",
        }
    )
    assert (group.destination, group.aggregation) == ("/a/b", 600)
    assert (group.file_format, group.hive, group.per_hour) == ("", False, False)
    older = services.connection({"ServiceId": "vpce-svc-1", "VpcEndpointId": "vpce-1"})
    assert (older.id, older.state) == ("vpce-svc-1/vpce-1", "unknown")


def test_a_flow_log_to_a_bucket() -> None:
    """Where the files of a flow log are, and of what kind, as its options say."""
    (row,) = parsed(
        "ec2",
        "DescribeFlowLogs",
        "FlowLogs",
        """<flowLogSet><item><flowLogId>fl-0a1</flowLogId><resourceId>vpc-0a1</resourceId>
        <logDestinationType>s3</logDestinationType>
        <logDestination>arn:aws:s3:::logs/flows</logDestination>
        <destinationOptions><fileFormat>parquet</fileFormat>
        <hiveCompatiblePartitions>true</hiveCompatiblePartitions>
        <perHourPartition>true</perHourPartition></destinationOptions></item></flowLogSet>""",
    )
    flow_log = network.flow_log(row)
    assert flow_log.destination == "arn:aws:s3:::logs/flows"
    assert (flow_log.file_format, flow_log.hive, flow_log.per_hour) == ("parquet", True, True)


def test_a_name_listed_twice_is_one() -> None:
    """A repeated DNS name gives one series, whatever its spelling."""
    entries = [{"DnsName": "a.example.com"}, {"DnsName": "A.example.com."}]
    row = {"VpcEndpointId": "vpce-0a1", "DnsEntries": entries}
    assert len(endpoints.endpoint(row, SCOPE).dns_names) == 1
