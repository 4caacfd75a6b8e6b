"""ELBv2, Organizations, STS and IMDS as the simulator answers them."""

from __future__ import annotations

import httpx
import pytest
from botocore.exceptions import ClientError
from botocore.utils import IMDSFetcher

from exporter.simulator.estate import account_ids, estate
from exporter.simulator.imds import MAC
from exporter.simulator.organisation import CONSUMER, MANAGEMENT, PROVIDER
from exporter.simulator.organizations import account
from exporter.simulator.server import Simulator
from tests.simulator.conftest import Client, clients_of


def test_load_balancers(client: Client, quiet: Simulator) -> None:
    """Load balancers come in pages, by name or ARN, with the interfaces that AWS gives them."""
    elb, ec2 = client("elbv2", PROVIDER), client("ec2", PROVIDER)
    rows = elb.describe_load_balancers()["LoadBalancers"]
    paged = elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 5})
    assert [r for page in paged for r in page["LoadBalancers"]] == rows
    assert len(rows) == 14
    (one,) = elb.describe_load_balancers(Names=["nlb-closed"])["LoadBalancers"]
    assert elb.describe_load_balancers(LoadBalancerArns=[one["LoadBalancerArn"]])[
        "LoadBalancers"
    ] == [one]
    assert one["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"] == "on"
    assert one["Type"] == "network"
    tail = one["LoadBalancerArn"].partition(":loadbalancer/")[2]
    assert tail.startswith("net/nlb-closed/")
    found = ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [f"ELB {tail}"]}]
    )["NetworkInterfaces"]
    assert {i["InterfaceType"] for i in found} == {"network_load_balancer"}
    assert {i["SubnetId"] for i in found} == {z["SubnetId"] for z in one["AvailabilityZones"]}
    assert {g["GroupId"] for i in found for g in i["Groups"]} == set(one["SecurityGroups"])
    for wrong in ({"Names": ["none"]}, {"LoadBalancerArns": ["arn:none"]}):
        with pytest.raises(ClientError, match="LoadBalancerNotFound"):
            elb.describe_load_balancers(**wrong)
    with pytest.raises(ClientError, match="ValidationError"):
        elb.describe_load_balancers(Names=[f"n{i}" for i in range(21)])
    with pytest.raises(ClientError, match="ValidationError"):
        elb.describe_load_balancers(Marker="nonsense")


def test_listeners_and_targets(client: Client, quiet: Simulator) -> None:
    """Listeners, target groups, their attributes and health hang together by their ARNs."""
    elb = client("elbv2", PROVIDER)
    states = {}
    for balancer in elb.describe_load_balancers()["LoadBalancers"]:
        arn, name = balancer["LoadBalancerArn"], balancer["LoadBalancerName"]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        assert {"Key": "load_balancing.cross_zone.enabled", "Value": "false"} in attributes
        groups = elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
        listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        assert len(groups) == len(listeners) == (0 if name == "no-listener" else 1)
        for group, listener in zip(groups, listeners, strict=True):
            group_arn = group["TargetGroupArn"]
            assert listener["DefaultActions"][0]["TargetGroupArn"] == group_arn
            assert elb.describe_listeners(ListenerArns=[listener["ListenerArn"]])["Listeners"]
            health = elb.describe_target_health(TargetGroupArn=group_arn)
            descriptions = health["TargetHealthDescriptions"]
            states[name] = [d["TargetHealth"]["State"] for d in descriptions]
            first = descriptions[0]["Target"]
            one = elb.describe_target_health(
                TargetGroupArn=group_arn, Targets=[{"Id": first["Id"], "Port": first["Port"]}]
            )
            assert one["TargetHealthDescriptions"] == descriptions[:1]
            keys = {
                a["Key"]
                for a in elb.describe_target_group_attributes(TargetGroupArn=group_arn)[
                    "Attributes"
                ]
            }
            assert "preserve_client_ip.enabled" in keys
    assert states["orders"] == ["healthy", "healthy"]
    assert states["zone-without-targets"] == ["unhealthy", "healthy"]
    assert states["all-unhealthy"] == ["unhealthy", "unhealthy"]
    with pytest.raises(ClientError, match="TargetGroupNotFound"):
        elb.describe_target_health(TargetGroupArn="arn:none")
    with pytest.raises(ClientError, match="LoadBalancerNotFound"):
        elb.describe_listeners(LoadBalancerArn="arn:none")
    with pytest.raises(ClientError, match="ValidationError"):
        elb.describe_listeners()
    with pytest.raises(ClientError, match="InvalidAction"):
        elb.describe_rules()


def test_accounts_of_the_organisation(client: Client) -> None:
    """The management account lists the accounts; any account may ask for the organisation."""
    rows = client("organizations").list_accounts()["Accounts"]
    assert [(r["Id"], r["Status"]) for r in rows] == [
        (MANAGEMENT, "ACTIVE"),
        (CONSUMER, "ACTIVE"),
        (PROVIDER, "ACTIVE"),
        ("555566667777", "SUSPENDED"),
    ]
    assert all(r["JoinedTimestamp"].year == 2023 for r in rows)
    described = client("organizations", CONSUMER).describe_organization()["Organization"]
    assert described["MasterAccountId"] == MANAGEMENT
    with pytest.raises(ClientError, match="AccessDeniedException"):
        client("organizations", CONSUMER).list_accounts()
    with pytest.raises(ClientError, match="InvalidInputException"):
        client("organizations").list_accounts(NextToken="nonsense")


def test_accounts_come_in_pages(changing: Simulator) -> None:
    """More than twenty accounts take more than a page."""
    changing.world.accounts = [account(i, f"a{i}", MANAGEMENT) for i in account_ids(45)]
    pages = list(clients_of(changing)("organizations").get_paginator("list_accounts").paginate())
    assert [len(page["Accounts"]) for page in pages] == [20, 20, 5]


def test_roles(client: Client) -> None:
    """A role that is declared can be assumed; one that is not, is denied like any other."""
    sts = client("sts")
    assert client("sts", CONSUMER).get_caller_identity()["Account"] == CONSUMER
    for wrong in (
        f"arn:aws:iam::{MANAGEMENT}:role/privatelink-exporter",
        f"arn:aws:iam::{CONSUMER}:role/other",
    ):
        with pytest.raises(ClientError, match="AccessDenied") as refused:
            sts.assume_role(RoleArn=wrong, RoleSessionName="tests")
        assert wrong in str(refused.value)


def test_instance_metadata(quiet: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host learns its VPC by IMDSv2, and nothing without a token."""
    base = f"{quiet.url}/latest"
    assert httpx.get(f"{base}/meta-data/mac").status_code == 401
    assert httpx.put(f"{base}/api/token").status_code == 400
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = httpx.put(f"{base}/api/token", headers=ttl).raise_for_status().text
    given = {"X-aws-ec2-metadata-token": token}
    mac = httpx.get(f"{base}/meta-data/mac", headers=given).text
    assert mac == MAC
    interface = f"{base}/meta-data/network/interfaces/macs/{mac}"
    assert httpx.get(f"{interface}/vpc-id", headers=given).text == quiet.world.host_vpc
    blocks = httpx.get(f"{interface}/vpc-ipv4-cidr-blocks", headers=given).text.split()
    assert blocks == [httpx.get(f"{interface}/vpc-ipv4-cidr-block", headers=given).text]
    assert httpx.get(f"{base}/meta-data/none", headers=given).status_code == 404
    fetcher = IMDSFetcher(base_url=f"{quiet.url}/", config={})
    assert fetcher._get_request("latest/meta-data/mac", None, fetcher._fetch_metadata_token()).text


def test_an_estate() -> None:
    """A small estate has what a large one has, and answers in pages."""
    world = estate(accounts=2, regions=2, endpoints_per_scope=60)
    simulator = Simulator(world)
    simulator.start(clock=False)
    try:
        client = clients_of(simulator)
        ec2 = client("ec2", account_ids(2)[1], "us-east-1")
        endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
        interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
        assert (len(endpoints), len(interfaces)) == (60, 180)
        assert len({i["PrivateIpAddress"] for i in interfaces}) == 180
        groups = {g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"]}
        assert {g["GroupId"] for e in endpoints for g in e["Groups"]} <= groups
        assert len(groups) == 60 - 12 + 2
        assert len(ec2.describe_vpcs()["Vpcs"]) == 2
        assert len(client("organizations").list_accounts()["Accounts"]) == 2
        assert len(simulator.resolvers()) == 8
    finally:
        simulator.stop()
