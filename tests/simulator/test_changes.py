"""Calls that change the world, and what CloudTrail tells of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from exporter.simulator import trail
from exporter.simulator.organisation import CONSUMER, PROVIDER
from exporter.simulator.server import Simulator
from exporter.simulator.state import REGION, Where
from tests.simulator.conftest import Client, clients_of, newest


def state(client: Client, endpoint: str) -> tuple[str, str]:
    """Return an endpoint's state as its consumer and as its provider sees it."""
    row = client("ec2", CONSUMER).describe_vpc_endpoints(VpcEndpointIds=[endpoint])
    connections = client("ec2", PROVIDER).describe_vpc_endpoint_connections(
        Filters=[{"Name": "vpc-endpoint-id", "Values": [endpoint]}]
    )["VpcEndpointConnections"]
    return row["VpcEndpoints"][0]["State"], connections[0]["VpcEndpointState"]


def test_connections_are_accepted_and_rejected(changing: Simulator) -> None:
    """A provider's word changes both sides, DNS and CloudTrail; a wrong one is told."""
    client = clients_of(changing)
    ec2 = client("ec2", PROVIDER)
    world = changing.world
    service, endpoint = world.scenarios["ledger"].id, world.scenarios["awaiting-acceptance"].id
    assert state(client, endpoint) == ("pendingAcceptance", "pendingAcceptance")
    name = world.row("VpcEndpoints", "VpcEndpointId", endpoint)["DnsEntries"][0]["DnsName"]
    assert name not in world.names[""]
    accepted = ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    assert accepted["Unsuccessful"] == []
    assert state(client, endpoint) == ("available", "available")
    assert name in world.names[""]
    again = ec2.accept_vpc_endpoint_connections(
        ServiceId=service, VpcEndpointIds=[endpoint, "vpce-0"]
    )
    assert [u["Error"]["Code"] for u in again["Unsuccessful"]] == [
        "InvalidState",
        "InvalidVpcEndpointId.NotFound",
    ]
    ec2.reject_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    assert state(client, endpoint) == ("rejected", "rejected")
    assert name not in world.names[""]
    event = newest(client, PROVIDER, "RejectVpcEndpointConnections")
    request = event["requestParameters"]["RejectVpcEndpointConnectionsRequest"]
    assert request["ServiceId"] == service
    assert request["VpcEndpointId"] == {"tag": 1, "content": endpoint}
    with pytest.raises(ClientError, match="InvalidVpcEndpointServiceId"):
        ec2.accept_vpc_endpoint_connections(ServiceId="vpce-svc-0", VpcEndpointIds=[endpoint])


def test_rules_are_authorized_and_revoked(changing: Simulator) -> None:
    """A rule comes and goes by what it says or by its id, and CloudTrail has both."""
    client = clients_of(changing)
    ec2 = client("ec2", CONSUMER)
    group = changing.world.toggled_group
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "clients"}],
        "UserIdGroupPairs": [{"GroupId": group}],
    }

    def ingress() -> list[dict[str, Any]]:
        found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        permissions: list[dict[str, Any]] = found["IpPermissions"]
        return permissions

    assert ingress() == []
    added = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    assert [r["SecurityGroupRuleId"][:4] for r in added["SecurityGroupRules"]] == ["sgr-", "sgr-"]
    (found,) = ingress()
    assert found["IpRanges"] == permission["IpRanges"]
    assert found["UserIdGroupPairs"] == [{"GroupId": group, "UserId": CONSUMER}]
    with pytest.raises(ClientError, match=r"InvalidPermission\.Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    event = newest(client, CONSUMER, "AuthorizeSecurityGroupIngress")
    (item,) = event["requestParameters"]["ipPermissions"]["items"]
    assert item["ipRanges"]["items"] == [{"cidrIp": "10.0.0.0/8", "description": "clients"}]
    assert item["ipv6Ranges"] == {}
    assert event["responseElements"]["_return"] is True
    by_id = added["SecurityGroupRules"][1]["SecurityGroupRuleId"]
    revoked = ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[by_id])
    assert revoked["RevokedSecurityGroupRules"][0]["ReferencedGroupId"] == group
    del permission["UserIdGroupPairs"]
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    assert ingress() == []
    with pytest.raises(ClientError, match=r"InvalidPermission\.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    with pytest.raises(ClientError, match=r"InvalidGroup\.NotFound"):
        ec2.revoke_security_group_ingress(GroupId="sg-0", IpPermissions=[permission])
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="10.0.0.0/8"
    )
    assert ingress()[0]["FromPort"] == 80


def test_events_as_cloudtrail_writes_them(client: Client) -> None:
    """An event names its actor by role and session, what was asked, and how it ended."""
    answer = client("cloudtrail", CONSUMER).lookup_events()
    times = [e["EventTime"] for e in answer["Events"]]
    assert times == sorted(times, reverse=True)
    events = [json.loads(e["CloudTrailEvent"]) for e in answer["Events"]]
    for row, event in zip(answer["Events"], events, strict=True):
        identity = event["userIdentity"]
        assert identity["type"] == "AssumedRole"
        issuer = identity["sessionContext"]["sessionIssuer"]
        assert issuer["arn"] == f"arn:aws:iam::{CONSUMER}:role/{issuer['userName']}"
        assert row["EventId"] == event["eventID"]
        assert row["ReadOnly"] == "false"
        assert event["readOnly"] is False
        assert event["recipientAccountId"] == CONSUMER
        assert event["awsRegion"] == REGION
        assert datetime.fromisoformat(event["eventTime"]) == row["EventTime"]
    failed = [e for e in events if "errorCode" in e]
    assert [(e["eventName"], e["errorCode"]) for e in failed] == [
        ("AuthorizeSecurityGroupIngress", "Client.UnauthorizedOperation")
    ]
    assert failed[0]["responseElements"] is None
    created = next(e for e in events if e["eventName"] == "CreateVpcEndpoint")
    assert created["requestParameters"]["CreateVpcEndpointRequest"]["VpcId"].startswith("vpc-")
    flow_log = next(e for e in events if e["eventName"] == "DeleteFlowLogs")
    request = flow_log["requestParameters"]["DeleteFlowLogsRequest"]
    assert request["FlowLogId"] == {"tag": 1, "content": "fl-0123456789abcdef0"}


def test_looking_events_up(changing: Simulator) -> None:
    """Events come fifty a page at most, by one attribute at most, from a stretch of time."""
    cloudtrail = clients_of(changing)("cloudtrail", PROVIDER)
    where, now = Where(PROVIDER, REGION), datetime.now(UTC)
    for i in range(120):
        trail.record(
            changing.world, where, "DeleteListener", {"i": i}, at=now.timestamp() - 60 * i - 7200
        )
    before = {"EndTime": now - timedelta(seconds=7190)}
    pages = list(cloudtrail.get_paginator("lookup_events").paginate(**before))
    assert [len(page["Events"]) for page in pages] == [50, 50, 20]
    ids = [e["EventId"] for page in pages for e in page["Events"]]
    assert len(set(ids)) == 120
    some = cloudtrail.lookup_events(StartTime=now - timedelta(seconds=7205 + 600), **before)
    assert len(some["Events"]) == 11
    one = cloudtrail.lookup_events(
        LookupAttributes=[{"AttributeKey": "EventId", "AttributeValue": ids[3]}]
    )
    assert [e["EventId"] for e in one["Events"]] == [ids[3]]
    changing.world.trail_delay = 8000
    assert len(cloudtrail.lookup_events(**before)["Events"]) == 50
    assert cloudtrail.lookup_events(StartTime=now - timedelta(seconds=7300))["Events"] == []
    wrong = [{"AttributeKey": "EventName", "AttributeValue": "x"}] * 2
    with pytest.raises(ClientError, match="InvalidLookupAttributesException"):
        cloudtrail.lookup_events(LookupAttributes=wrong)
    with pytest.raises(ClientError, match="InvalidTimeRangeException"):
        cloudtrail.lookup_events(StartTime=now, EndTime=now - timedelta(hours=1))
    with pytest.raises(ClientError, match="InvalidNextTokenException"):
        cloudtrail.lookup_events(NextToken="nonsense")
