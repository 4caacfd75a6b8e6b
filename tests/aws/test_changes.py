"""CloudTrail's events: what each tells of a change, and that nothing foreign breaks it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.aws.changes import change, scope_of, translate
from exporter.aws.events import EVENTS
from exporter.model import Change, Scope
from tests.aws.cloudtrail import ELB, NOW, ROUTE53, SCOPE, event

LB = "arn:aws:elasticloadbalancing:eu-west-1:222233334444:loadbalancer/net/pay/0123456789abcdef"
LISTENER = LB.replace(":loadbalancer/", ":listener/") + "/fedcba9876543210"
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:222233334444:targetgroup/pay/0123456789abcdef"


def read(*arguments: Any, **more: Any) -> Change:
    found = translate(json.dumps(event(*arguments, **more)), SCOPE)
    assert found is not None
    return found


def permissions(*cidrs: str, protocol: str = "tcp", first: int = 443, last: int = 443) -> Any:
    return {
        "items": [
            {
                "ipProtocol": protocol,
                "fromPort": first,
                "toPort": last,
                "groups": {},
                "ipRanges": {"items": [{"cidrIp": cidr} for cidr in cidrs]},
                "ipv6Ranges": {},
                "prefixListIds": {},
            }
        ]
    }


def nested(name: str, **request: Any) -> Any:
    return {f"{name}Request": request}


def by_peers() -> Any:
    found = permissions()
    found["items"][0] |= {
        "ipRanges": {},
        "ipv6Ranges": {"items": [{"cidrIpv6": "2001:db8::/32"}]},
        "groups": {"items": [{"groupId": "sg-0b1", "userId": "444455556666"}]},
        "prefixListIds": {"items": [{"prefixListId": "pl-0a1"}]},
    }
    return found


ENTRY = {
    "networkAclId": "acl-0a1",
    "ruleNumber": 90,
    "egress": False,
    "ruleAction": "deny",
    "icmpTypeCode": {},
    "portRange": {"from": 443, "to": 443},
    "aclProtocol": "6",
    "cidrBlock": "10.0.0.0/8",
}
# What each event says, which ids it acts on, which others it names.
TOLD: list[tuple[str, str, Any, Any, str, set[str], set[str]]] = [
    (
        "RevokeSecurityGroupIngress",
        "ec2.amazonaws.com",
        {"groupId": "sg-0a1", "ipPermissions": permissions("10.0.0.0/8")},
        {"_return": True},
        "revoked tcp 443 from 10.0.0.0/8",
        {"sg-0a1"},
        set(),
    ),
    (
        "RevokeSecurityGroupIngress",
        "ec2.amazonaws.com",
        {
            "groupId": "sg-0a1",
            "securityGroupRuleIds": {"items": [{"securityGroupRuleId": "sgr-1a"}]},
        },
        {
            "revokedSecurityGroupRuleSet": {
                "items": [
                    {
                        "securityGroupRuleId": "sgr-0a1",
                        "groupId": "sg-0a1",
                        "isEgress": False,
                        "ipProtocol": "tcp",
                        "fromPort": 443,
                        "toPort": 443,
                        "cidrIpv4": "10.0.0.0/8",
                    }
                ]
            }
        },
        "revoked tcp 443 from 10.0.0.0/8",
        {"sg-0a1", "sgr-0a1"},
        set(),
    ),
    (
        "RevokeSecurityGroupEgress",
        "ec2.amazonaws.com",
        {"groupId": "sg-0a1", "ipProtocol": "-1", "cidrIp": "0.0.0.0/0"},
        None,
        "revoked all traffic to 0.0.0.0/0",
        {"sg-0a1"},
        set(),
    ),
    (
        "AuthorizeSecurityGroupIngress",
        "ec2.amazonaws.com",
        {"groupId": "sg-0a1", "ipPermissions": by_peers()},
        None,
        "allowed tcp 443 from 2001:db8::/32, tcp 443 from sg-0b1, tcp 443 from pl-0a1",
        {"sg-0a1"},
        {"sg-0b1", "pl-0a1"},
    ),
    (
        "AuthorizeSecurityGroupEgress",
        "ec2.amazonaws.com",
        {
            "groupId": "sg-0a1",
            "ipPermissions": permissions(
                *(f"10.{i}.0.0/16" for i in range(5)), protocol="17", first=53, last=99
            ),
        },
        None,
        "allowed udp 53-99 to 10.0.0.0/16, udp 53-99 to 10.1.0.0/16, udp 53-99 to 10.2.0.0/16 "
        "and 2 more",
        {"sg-0a1"},
        set(),
    ),
    (
        "ModifySecurityGroupRules",
        "ec2.amazonaws.com",
        nested(
            "ModifySecurityGroupRules",
            GroupId="sg-0a1",
            SecurityGroupRule={
                "tag": 1,
                "SecurityGroupRuleId": "sgr-0a1",
                "SecurityGroupRule": {
                    "IpProtocol": "tcp",
                    "FromPort": 8443,
                    "ToPort": 8443,
                    "CidrIpv4": "10.1.0.0/16",
                },
            },
        ),
        None,
        "sgr-0a1 now tcp 8443 with 10.1.0.0/16",
        {"sg-0a1", "sgr-0a1"},
        set(),
    ),
    (
        "CreateNetworkAclEntry",
        "ec2.amazonaws.com",
        ENTRY,
        {"_return": True},
        "deny entry 90 inbound tcp 443 from 10.0.0.0/8",
        {"acl-0a1"},
        set(),
    ),
    (
        "ReplaceNetworkAclEntry",
        "ec2.amazonaws.com",
        {**ENTRY, "egress": True, "aclProtocol": "-1", "portRange": {}},
        None,
        "now deny entry 90 outbound all traffic to 10.0.0.0/8",
        {"acl-0a1"},
        set(),
    ),
    (
        "DeleteNetworkAclEntry",
        "ec2.amazonaws.com",
        {"networkAclId": "acl-0a1", "ruleNumber": 100, "egress": True},
        None,
        "deleted entry 100 outbound",
        {"acl-0a1"},
        set(),
    ),
    (
        "ReplaceNetworkAclAssociation",
        "ec2.amazonaws.com",
        {"associationId": "aclassoc-0a1", "networkAclId": "acl-0a1"},
        {"newAssociationId": "aclassoc-0b1"},
        "acl-0a1 instead of what aclassoc-0a1 was",
        {"acl-0a1", "aclassoc-0a1", "aclassoc-0b1"},
        set(),
    ),
    (
        "CreateRoute",
        "ec2.amazonaws.com",
        {
            "routeTableId": "rtb-0a1",
            "destinationCidrBlock": "10.2.0.0/16",
            "transitGatewayId": "tgw-0a1",
        },
        None,
        "new route to 10.2.0.0/16 by tgw-0a1",
        {"rtb-0a1"},
        {"tgw-0a1"},
    ),
    (
        "DeleteRoute",
        "ec2.amazonaws.com",
        {"routeTableId": "rtb-0a1", "destinationPrefixListId": "pl-0a1"},
        None,
        "deleted route to pl-0a1",
        {"rtb-0a1"},
        {"pl-0a1"},
    ),
    (
        "AssociateRouteTable",
        "ec2.amazonaws.com",
        {"routeTableId": "rtb-0a1", "subnetId": "subnet-0a1"},
        {"associationId": "rtbassoc-0a1"},
        "rtb-0a1 for subnet-0a1",
        {"rtb-0a1", "subnet-0a1", "rtbassoc-0a1"},
        set(),
    ),
    (
        "DisassociateRouteTable",
        "ec2.amazonaws.com",
        {"associationId": "rtbassoc-0a1"},
        None,
        "no longer rtbassoc-0a1",
        {"rtbassoc-0a1"},
        set(),
    ),
    (
        "ModifyVpcAttribute",
        "ec2.amazonaws.com",
        {"vpcId": "vpc-0a1", "enableDnsHostnames": {"value": False}},
        None,
        "enableDnsHostnames false",
        {"vpc-0a1"},
        set(),
    ),
    (
        "AssociateDhcpOptions",
        "ec2.amazonaws.com",
        {"dhcpOptionsId": "dopt-0a1", "vpcId": "vpc-0a1"},
        None,
        "dopt-0a1 for vpc-0a1",
        {"vpc-0a1"},
        {"dopt-0a1"},
    ),
    (
        "ModifyNetworkInterfaceAttribute",
        "ec2.amazonaws.com",
        {"networkInterfaceId": "eni-0a1", "groupSet": {"items": [{"groupId": "sg-0b1"}]}},
        None,
        "groups now sg-0b1",
        {"eni-0a1"},
        {"sg-0b1"},
    ),
    (
        "ModifyManagedPrefixList",
        "ec2.amazonaws.com",
        nested(
            "ModifyManagedPrefixList",
            PrefixListId="pl-0a1",
            RemoveEntry={"tag": 1, "Cidr": "10.0.0.0/8"},
        ),
        None,
        "removed 10.0.0.0/8",
        {"pl-0a1"},
        set(),
    ),
    (
        "CreateVpcEndpoint",
        "ec2.amazonaws.com",
        nested(
            "CreateVpcEndpoint",
            VpcEndpointType="Interface",
            VpcId="vpc-0a1",
            ServiceName="com.amazonaws.eu-west-1.sqs",
            SubnetId=[{"tag": 1, "content": "subnet-0a1"}, {"tag": 2, "content": "subnet-0a2"}],
            SecurityGroupId={"tag": 1, "content": "sg-0a1"},
            PrivateDnsEnabled=True,
            PolicyDocument='{"Condition": {"aws:sourceVpce": "vpce-0f1"}}',
        ),
        {"CreateVpcEndpointResponse": {"vpcEndpoint": {"vpcEndpointId": "vpce-0a1"}}},
        "made vpce-0a1: Interface to com.amazonaws.eu-west-1.sqs in vpc-0a1; "
        "PrivateDnsEnabled true",
        {"vpce-0a1"},
        {"vpc-0a1", "com.amazonaws.eu-west-1.sqs", "subnet-0a1", "subnet-0a2", "sg-0a1"},
    ),
    (
        "ModifyVpcEndpoint",
        "ec2.amazonaws.com",
        nested(
            "ModifyVpcEndpoint",
            VpcEndpointId="vpce-0a1",
            PrivateDnsEnabled=False,
            PolicyDocument="{}",
            RemoveSecurityGroupId={"tag": 1, "content": "sg-0a1"},
        ),
        {"ModifyVpcEndpointResponse": {"return": True}},
        "PrivateDnsEnabled false; new policy; removed sg-0a1",
        {"vpce-0a1"},
        {"sg-0a1"},
    ),
    (
        "DeleteVpcEndpoints",
        "ec2.amazonaws.com",
        nested("DeleteVpcEndpoints", VpcEndpointId={"tag": 1, "content": "vpce-0a1"}),
        {"DeleteVpcEndpointsResponse": {"unsuccessful": ""}},
        "deleted vpce-0a1",
        {"vpce-0a1"},
        set(),
    ),
    (
        "ModifyVpcEndpointServiceConfiguration",
        "ec2.amazonaws.com",
        nested(
            "ModifyVpcEndpointServiceConfiguration",
            ServiceId="vpce-svc-0a1",
            AcceptanceRequired=True,
            RemoveNetworkLoadBalancerArn={"tag": 1, "content": LB},
        ),
        None,
        "AcceptanceRequired true; removed loadbalancer/net/pay/0123456789abcdef",
        {"vpce-svc-0a1"},
        {LB},
    ),
    (
        "ModifyVpcEndpointServicePermissions",
        "ec2.amazonaws.com",
        nested(
            "ModifyVpcEndpointServicePermissions",
            ServiceId="vpce-svc-0a1",
            RemoveAllowedPrincipals={"tag": 1, "content": "arn:aws:iam::222233334444:root"},
        ),
        None,
        "no longer allowed root",
        {"vpce-svc-0a1"},
        set(),
    ),
    (
        "RejectVpcEndpointConnections",
        "ec2.amazonaws.com",
        nested(
            "RejectVpcEndpointConnections",
            ServiceId="vpce-svc-0a1",
            VpcEndpointId={"tag": 1, "content": "vpce-0a1"},
        ),
        None,
        "rejected vpce-0a1",
        {"vpce-svc-0a1", "vpce-0a1"},
        set(),
    ),
    (
        "StartVpcEndpointServicePrivateDnsVerification",
        "ec2.amazonaws.com",
        nested("StartVpcEndpointServicePrivateDnsVerification", ServiceId="vpce-svc-0a1"),
        None,
        "vpce-svc-0a1",
        {"vpce-svc-0a1"},
        set(),
    ),
    (
        "CreateFlowLogs",
        "ec2.amazonaws.com",
        nested(
            "CreateFlowLogs",
            ResourceId={"tag": 1, "content": "vpc-0a1"},
            TrafficType="ALL",
            LogGroupName="/vpc",
        ),
        {"CreateFlowLogsResponse": {"flowLogIdSet": {"item": "fl-0a1"}}},
        "ALL of vpc-0a1 to /vpc",
        {"vpc-0a1", "fl-0a1"},
        set(),
    ),
    (
        "SetSecurityGroups",
        ELB,
        {"loadBalancerArn": LB, "securityGroups": ["sg-0a1", "sg-0a2"]},
        {"securityGroupIds": ["sg-0a1", "sg-0a2"]},
        "groups now sg-0a1, sg-0a2",
        {LB},
        {"sg-0a1", "sg-0a2"},
    ),
    (
        "SetSubnets",
        ELB,
        {"loadBalancerArn": LB, "subnetMappings": [{"subnetId": "subnet-0a1"}]},
        None,
        "subnets now subnet-0a1",
        {LB},
        {"subnet-0a1"},
    ),
    (
        "ModifyLoadBalancerAttributes",
        ELB,
        {
            "loadBalancerArn": LB,
            "attributes": [{"key": "load_balancing.cross_zone.enabled", "value": "false"}],
        },
        None,
        "load_balancing.cross_zone.enabled false",
        {LB},
        set(),
    ),
    (
        "CreateListener",
        ELB,
        {
            "loadBalancerArn": LB,
            "port": 443,
            "protocol": "TCP",
            "defaultActions": [{"type": "forward", "targetGroupArn": GROUP}],
        },
        {"listeners": [{"listenerArn": LISTENER, "loadBalancerArn": LB}]},
        "TCP 443; forwards to targetgroup/pay/0123456789abcdef",
        {LB, LISTENER},
        {GROUP},
    ),
    (
        "DeleteListener",
        ELB,
        {"listenerArn": LISTENER},
        None,
        "deleted listener/net/pay/0123456789abcdef/fedcba9876543210",
        {LB, LISTENER},
        set(),
    ),
    (
        "DeregisterTargets",
        ELB,
        {"targetGroupArn": GROUP, "targets": [{"id": "i-0a1", "port": 443}, {"id": "10.1.0.9"}]},
        None,
        "deregistered i-0a1:443, 10.1.0.9",
        {GROUP},
        {"i-0a1"},
    ),
    (
        "DeleteLoadBalancer",
        ELB,
        {"loadBalancerArn": LB},
        None,
        "deleted loadbalancer/net/pay/0123456789abcdef",
        {LB},
        set(),
    ),
    (
        "ChangeResourceRecordSets",
        ROUTE53,
        {
            "hostedZoneId": "Z0123456789EXAMPLE",
            "changeBatch": {
                "changes": [
                    {
                        "action": "DELETE",
                        "resourceRecordSet": {"name": "Pay.Example.com.", "type": "A"},
                    }
                ]
            },
        },
        {"changeInfo": {"id": "/change/C0123456789EXAMPLE", "status": "PENDING"}},
        "DELETE A Pay.Example.com.",
        {"Z0123456789EXAMPLE", "pay.example.com"},
        set(),
    ),
    (
        "DisassociateVPCFromHostedZone",
        ROUTE53,
        {"hostedZoneId": "Z0123456789EXAMPLE", "vPC": {"vPCId": "vpc-0a1", "vPCRegion": "x"}},
        None,
        "vpc-0a1 no longer with hosted zone Z0123456789EXAMPLE",
        {"Z0123456789EXAMPLE", "vpc-0a1"},
        set(),
    ),
]


@pytest.mark.parametrize(
    ("name", "source", "request_", "response", "what", "subjects", "others"),
    TOLD,
    ids=[f"{i} {row[0]}" for i, row in enumerate(TOLD)],
)
def test_what_an_event_tells(
    name: str,
    source: str,
    request_: Any,
    response: Any,
    what: str,
    subjects: set[str],
    others: set[str],
) -> None:
    """Each event says in words what changed, on what, and names what else it mentions."""
    found = read(name, request_, response, source=source)
    assert found.what == what
    assert found.touches == subjects
    assert found.resources - found.touches == others - {"sgr-1a"}
    assert (found.event, found.source, found.outcome, found.at) == (name, source, "ok", NOW)
    assert found.actor == "role/deploy (session alice)"
    assert found.address == "198.51.100.31"


@pytest.mark.parametrize("source", EVENTS)
def test_every_event_can_be_told_without_anything(source: str) -> None:
    """An event of each kind that says nothing at all is a change that names nothing."""
    for name in EVENTS[source]:
        nothing: Any
        for nothing in (None, {}, [], "text", 5):
            found = read(name, nothing, nothing, source=source)
            assert found.touches == frozenset()


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("Client.UnauthorizedOperation", "denied"),
        ("AccessDenied", "denied"),
        ("AccessDeniedException", "denied"),
        ("Client.InvalidPermission.NotFound", "error"),
        ("Client.DryRunOperation", "error"),
        ("ThrottlingException", "error"),
    ],
)
def test_an_attempt_that_failed(code: str, outcome: str) -> None:
    """It is no change, and says that nothing was done."""
    request = {"groupId": "sg-0a1", "ipPermissions": permissions("10.0.0.0/8")}
    found = read("AuthorizeSecurityGroupIngress", request, errorCode=code, errorMessage="no")
    assert (found.outcome, found.error) == (outcome, code)
    assert found.what == "not done: allowed tcp 443 from 10.0.0.0/8"


def test_a_call_that_did_a_part() -> None:
    """What a call for several could not do it did not touch; all of it: the attempt failed."""
    request = nested(
        "DeleteVpcEndpoints",
        VpcEndpointId=[{"tag": 1, "content": "vpce-0a1"}, {"tag": 2, "content": "vpce-0a2"}],
    )
    failed = {"resourceId": "vpce-0a2", "error": {"code": "OperationNotPermitted", "message": "x"}}
    answer = {"DeleteVpcEndpointsResponse": {"unsuccessful": {"item": failed}}}
    found = read("DeleteVpcEndpoints", request, answer)
    assert found.outcome == "ok"
    assert found.touches == {"vpce-0a1"}
    alone = nested("DeleteVpcEndpoints", VpcEndpointId={"tag": 1, "content": "vpce-0a2"})
    found = read("DeleteVpcEndpoints", alone, answer)
    assert (found.outcome, found.error) == ("error", "OperationNotPermitted")
    assert found.touches == {"vpce-0a2"}


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"\xff",
        "",
        "null",
        "[]",
        "5",
        "{}",
        "[" * 100_000,
        json.dumps(event("DescribeVpcEndpoints")),
        json.dumps(event("CreateListener", source="vpc-lattice.amazonaws.com")),
        json.dumps(event(eventTime="yesterday")),
        json.dumps(event(eventTime=None)),
        json.dumps(event(eventID="")),
        json.dumps(event(eventID=5)),
        json.dumps(event(eventID="x" * 101)),
        json.dumps(event(eventName=["RevokeSecurityGroupIngress"])),
    ],
    ids=lambda text: repr(text)[:60],
)
def test_what_is_no_change(text: Any) -> None:
    """Events of other kinds and services, and what is no event, are nothing."""
    assert translate(text, SCOPE) is None


def test_texts_are_in_one_line_and_bounded() -> None:
    """Control characters are gone, those that turn the writing too; nothing is endless."""
    request = {
        "groupId": "sg-0a1",
        "ipProtocol": "tcp\x1b[31m",
        "cidrIp": "10.0.0.0/8\n\u202e" * 99,
    }
    identity = {"type": "IAMUser", "userName": "eve\r\n\x07" + "x" * 999}
    found = read(request=request, userIdentity=identity, sourceIPAddress="a\x00b\u2066" * 200)
    for text in (found.what, found.actor, found.address):
        assert text.isprintable()
        assert len(text) <= 240


def test_an_event_of_any_depth_and_length() -> None:
    """What is deep or long beyond reason is looked at as far as that goes."""
    deep: Any = "sg-0b1"
    for _ in range(200):
        deep = {"x": deep}
    request = {"groupId": "sg-0a1", "deep": deep, "many": ["sg-0c1"] * 100_000}
    assert read(request=request).touches == {"sg-0a1"}


def test_where_an_event_was_recorded() -> None:
    """Account and Region are those that got it; what does not say so is nobody's."""
    assert scope_of(event()) == SCOPE
    assert scope_of(event(recipientAccountId=5)) is None
    assert scope_of("text") is None
    assert scope_of({}) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["sg-0a1", LISTENER, "10.0.0.0/8", "tcp"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("items", "item", "tag", "content", "groupId", "ipPermissions", "ipRanges"),
                    *("unsuccessful", "error", "resourceId", "attributes", "changeBatch"),
                    *("changes", "targets", "defaultActions", "portRange", "egress", "value"),
                    *("sessionContext", "sessionIssuer", "arn", "type", "userName", "vPC"),
                    *("securityGroupRule", "revokedSecurityGroupRuleSet", "vpcEndpoint"),
                    *("CreateVpcEndpointRequest", "dnsOptions", "invokedBy", "onBehalfOf"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
EVERY = [(source, name) for source, names in EVENTS.items() for name in sorted(names)]


@given(st.sampled_from(EVERY), JSON, JSON, JSON)
def test_nothing_foreign_breaks_it(
    of: tuple[str, str], request: Any, response: Any, identity: Any
) -> None:
    """Whatever an event says, it becomes a change with texts in one line."""
    source, name = of
    found = change(event(name, request, response, source=source, userIdentity=identity), SCOPE)
    assert found is not None
    assert found.what.isprintable()
    assert found.actor
    assert found.touches <= found.resources


@given(JSON)
def test_nothing_foreign_is_an_event(anything: Any) -> None:
    """What is no event is none."""
    assert change(anything, Scope("1", "r")) is None


def test_the_rule_in_the_documentation_has_every_event() -> None:
    """Who pastes it gets what is watched, and EventBridge takes patterns of that length."""
    text = (Path(__file__).parents[2] / "docs" / "changes.md").read_text()
    names = re.search(r"eventName = \[(.*?)\]", text, re.DOTALL)
    assert names
    listed = re.findall(r'"(\w+)"', names[1])
    assert sorted(listed) == sorted(name for _, name in EVERY)
    assert len(json.dumps(listed)) < 1800
