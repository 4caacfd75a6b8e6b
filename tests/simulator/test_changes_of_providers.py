"""What a provider does: prove a name, listen, set attributes and groups, register targets."""

from __future__ import annotations

import dns.message
import dns.query
import httpx

from exporter.simulator.organisation import CONSUMER, PROVIDER
from exporter.simulator.server import Simulator
from exporter.simulator.state import REGION, Row, Where
from tests.simulator.conftest import clients_of, newest

HERE = Where(PROVIDER, REGION)


def behind(simulator: Simulator, name: str) -> tuple[Row, Row]:
    """Return the load balancer and the target group of a service."""
    world = simulator.world
    (balancer,) = [b for b in world.table("LoadBalancers", *HERE) if b["LoadBalancerName"] == name]
    (group,) = [g for g in world.table("TargetGroups", *HERE) if g["TargetGroupName"] == name]
    return balancer, group


def test_private_names_are_proven(changing: Simulator) -> None:
    """Without the record the proof fails; with it the name is verified, and can be used."""
    client = clients_of(changing)
    ec2, world = client("ec2", PROVIDER), changing.world
    name = world.scenarios["private-dns-pending"].id

    def proof() -> Row:
        (found,) = ec2.describe_vpc_endpoint_service_configurations(ServiceIds=[name])[
            "ServiceConfigurations"
        ]
        configuration: Row = found["PrivateDnsNameConfiguration"]
        return configuration

    assert proof()["State"] == "pendingVerification"
    ec2.start_vpc_endpoint_service_private_dns_verification(ServiceId=name)
    assert proof()["State"] == "failed"
    record = f"{proof()['Name']}.pending.example.com"
    httpx.post(
        f"{changing.url}/_simulator/records", json={record: [f"TXT {proof()['Value']}"]}
    ).raise_for_status()
    query = dns.message.make_query(record, "TXT")
    answer = dns.query.udp(query, "127.0.0.1", 2, changing.dns_port)
    assert answer.answer[0].to_text().endswith(f'"{proof()["Value"]}"')
    assert (
        dns.query.udp(dns.message.make_query(record, "A"), "127.0.0.1", 2, changing.dns_port).answer
        == []
    )
    answer_ = ec2.start_vpc_endpoint_service_private_dns_verification(ServiceId=name)
    assert answer_["ReturnValue"] is True
    assert proof()["State"] == "verified"
    offered = client("ec2", CONSUMER).describe_vpc_endpoint_services(
        Filters=[{"Name": "service-name", "Values": [f"com.amazonaws.vpce.{REGION}.{name}"]}]
    )
    assert offered["ServiceDetails"][0]["PrivateDnsNameVerificationState"] == "verified"
    what = "StartVpcEndpointServicePrivateDnsVerification"
    assert newest(client, PROVIDER, what)["requestParameters"] == {
        f"{what}Request": {"ServiceId": name}
    }


def test_services_are_changed(changing: Simulator) -> None:
    """A service takes other load balancers, and says whether connections have to wait."""
    client = clients_of(changing)
    ec2, world = client("ec2", PROVIDER), changing.world
    name = world.scenarios["orders"].id
    own, other = (behind(changing, n)[0]["LoadBalancerArn"] for n in ("orders", "guarded"))
    changed = ec2.modify_vpc_endpoint_service_configuration(
        ServiceId=name,
        AcceptanceRequired=True,
        AddNetworkLoadBalancerArns=[other],
        RemoveNetworkLoadBalancerArns=[own],
    )
    assert changed["Return"] is True
    (found,) = ec2.describe_vpc_endpoint_service_configurations(ServiceIds=[name])[
        "ServiceConfigurations"
    ]
    assert (found["AcceptanceRequired"], found["NetworkLoadBalancerArns"]) == (True, [other])


def test_listeners_bring_targets_into_use(changing: Simulator) -> None:
    """With a listener targets are checked, healthy where the check gets through; else unused."""
    client = clients_of(changing)
    elbv2 = client("elbv2", PROVIDER)
    balancer, group = behind(changing, "no-listener")
    arn = group["TargetGroupArn"]

    def states() -> set[str]:
        health = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {h["TargetHealth"]["State"] for h in health}

    assert states() == {"unused"}
    action = {"Type": "forward", "TargetGroupArn": arn}
    where = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
    made = elbv2.create_listener(**where, Protocol="TCP", Port=443, DefaultActions=[action])
    (listener,) = made["Listeners"]
    assert elbv2.describe_listeners(**where)["Listeners"] == [listener]
    assert states() == {"healthy"}
    event = newest(client, PROVIDER, "CreateListener")
    assert event["eventSource"] == "elasticloadbalancing.amazonaws.com"
    assert event["requestParameters"]["defaultActions"] == [
        {"type": "forward", "targetGroupArn": arn}
    ]
    elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    assert states() == {"unused"}
    # What the targets' group does not let in cannot answer a health check.
    rules = changing.world.table("SecurityGroupRules", *HERE)
    groups = changing.world.table("SecurityGroups", *HERE)
    (guard,) = [g["GroupId"] for g in groups if g["GroupName"] == "no-listener-targets"]
    rules[:] = [r for r in rules if r["GroupId"] != guard or r["IsEgress"]]
    elbv2.create_listener(**where, Protocol="TCP", Port=443, DefaultActions=[action])
    assert states() == {"unhealthy"}


def test_attributes_of_balancers_and_groups(changing: Simulator) -> None:
    """Attributes are set where there are such, and answered as they are."""
    elbv2 = clients_of(changing)("elbv2", PROVIDER)
    balancer, group = behind(changing, "zone-without-targets")
    wanted = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
    arn = balancer["LoadBalancerArn"]
    changed = elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=wanted)
    assert wanted[0] in changed["Attributes"]
    found = elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    assert wanted[0] in found
    arn = group["TargetGroupArn"]
    elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=wanted)
    found = elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    assert wanted[0] in found


def test_groups_of_balancers(changing: Simulator) -> None:
    """A load balancer's groups are its interfaces' too; it says whether they judge PrivateLink."""
    client = clients_of(changing)
    elbv2, ec2 = client("elbv2", PROVIDER), client("ec2", PROVIDER)
    balancer, _ = behind(changing, "nlb-closed")
    groups = changing.world.table("SecurityGroups", *HERE)
    (other,) = [g["GroupId"] for g in groups if g["GroupName"] == "nlb-closed-targets"]
    enforce = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"
    arn = balancer["LoadBalancerArn"]
    answer = elbv2.set_security_groups(
        LoadBalancerArn=arn, SecurityGroups=[other], **{enforce: "off"}
    )
    assert (answer["SecurityGroupIds"], answer[enforce]) == ([other], "off")
    (found,) = elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    assert (found["SecurityGroups"], found[enforce]) == ([other], "off")
    name = "ELB " + arn.partition("loadbalancer/")[2]
    rows = ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": [name]}])
    assert [[g["GroupId"] for g in i["Groups"]] for i in rows["NetworkInterfaces"]] == [[other]] * 2


def test_targets_are_registered(changing: Simulator) -> None:
    """A target is the VPC's own address; it goes by its address, at one port or all."""
    client = clients_of(changing)
    elbv2 = client("elbv2", PROVIDER)
    _, group = behind(changing, "orders")
    _, other = behind(changing, "guarded")
    arn, address = group["TargetGroupArn"], other["TargetHealth"][0]["Target"]["Id"]

    def health() -> dict[str, str]:
        found = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {h["Target"]["Id"]: h["TargetHealth"]["State"] for h in found}

    elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": address}])
    assert health()[address] == "healthy"
    assert len(health()) == 3
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": address}])
    assert address not in health()
    event = newest(client, PROVIDER, "DeregisterTargets")
    assert event["requestParameters"]["targets"] == [{"id": address}]
