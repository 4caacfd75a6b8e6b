"""Endpoints whose names, rules, routes or flow logs are wrong, and those of broken services."""

from __future__ import annotations

import json

from exporter.simulator.networks import ALL_ENTRIES, EVERYWHERE, Entry, route
from exporter.simulator.scenarios_healthy import S3_PREFIX_LIST
from exporter.simulator.stage import Stage, Vpc
from exporter.simulator.state import PUBLIC, REGION, Traffic

_DENIES = json.dumps(
    {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}]}
)
# What a client's answers come back to.
_EPHEMERAL = (1024, 65535)
S3 = f"com.amazonaws.{REGION}.s3"


def declare(stage: Stage) -> None:
    """Declare them."""
    _names(stage)
    _security_groups(stage)
    _network_acls(stage)
    _gateways(stage)
    _flow_logs(stage)
    _behind(stage)


def _names(stage: Stage) -> None:
    """Add endpoints whose names lead elsewhere."""
    stage.endpoint(
        "dns-hostnames-off",
        stage.vpc("no-hostnames", dns_hostnames=False),
        "sqs",
        "Private DNS is on and the VPC has DNS hostnames off: the name resolves to the public.",
        clients=[],
        check="private_dns",
        status="fail",
    )
    stage.endpoint(
        "private-dns-off-no-internet",
        stage.vpc("sealed", internet=False),
        "sqs",
        "Private DNS is off, and there is no way to the public addresses.",
        private_dns=False,
        clients=[],
        check="private_dns",
        status="fail",
    )
    stage.endpoint(
        "private-dns-off",
        stage.vpc("public-way"),
        "sqs",
        "Private DNS is off: who uses the service's own name goes past the endpoint.",
        private_dns=False,
        clients=[],
        check="private_dns",
        status="warn",
    )
    stage.endpoint(
        "foreign-answer",
        stage.vpc("foreign"),
        "sqs",
        "The VPC's resolver answers with another private address.",
        resolves_to=["10.250.0.10"],
        clients=[],
        check="private_dns",
        status="fail",
    )
    lost = stage.vpc("lost")
    endpoint_id = stage.endpoint(
        "names-lost",
        lost,
        "sqs",
        "The VPC's resolver does not know the endpoint's own names.",
        check="dns_resolution",
        status="fail",
    )
    own = stage.row("VpcEndpoints", "VpcEndpointId", endpoint_id)["Names"][PUBLIC]
    stage.world.names.setdefault(lost.id, {}).update({name: [] for name in own})


def _security_groups(stage: Stage) -> None:
    """Add endpoints that a security group keeps the clients from."""
    vpc = stage.vpc("closed")
    # The clients are to be let in; the stranger who tries the same port is not.
    stage.endpoint(
        "sg-port-missing",
        vpc,
        "sqs",
        "Its group lets the clients in to 8443, not to 443.",
        ingress=[("tcp", 8443, vpc.cidr)],
        check="security_group",
        status="fail",
        scanned=True,
    )
    other = stage.consumer.security_group(vpc.id, "batch-clients", None)
    stage.endpoint(
        "sg-other-group",
        vpc,
        "sns",
        "Its group lets another group in than the clients'.",
        ingress=[("tcp", 443, other)],
        check="security_group",
        status="fail",
    )
    toggled = stage.consumer.security_group(vpc.id, "sg-toggled-endpoint", None)
    stage.world.toggled_group = toggled
    stage.endpoint(
        "sg-toggled",
        vpc,
        "ssm",
        "Its group's rule for 443 is revoked and authorized again, in turn; now it is revoked.",
        group_id=toggled,
        check="security_group",
        status="fail",
        tags={"team": "payments"},
    )
    inside = stage.vpc("egress", egress=[("tcp", 8443, EVERYWHERE)])
    stage.endpoint(
        "client-egress-closed",
        inside,
        "sqs",
        "The clients' group does not let them out to 443.",
        check="security_group",
        status="fail",
    )
    policy = stage.vpc("policy")
    stage.endpoint(
        "policy-denies-all",
        policy,
        "sqs",
        "Its policy denies everything.",
        policy=_DENIES,
        check="endpoint_policy",
        status="fail",
    )


def _network_acls(stage: Stage) -> None:
    """Add endpoints that a network ACL keeps the clients from."""
    inbound: list[Entry] = [(90, "deny", "6", (443, 443), "10.0.0.0/8"), *ALL_ENTRIES]
    blocked = stage.vpc("nacl-in")
    stage.consumer.network_acl(
        blocked.id, stage.consumer.subnets(blocked.id, "endpoints"), ingress=inbound
    )
    stage.endpoint(
        "nacl-inbound",
        blocked,
        "sqs",
        "The ACL of its subnets denies 443 inbound.",
        check="network_acl",
        status="fail",
    )
    outbound: list[Entry] = [(100, "allow", "6", (443, 443), EVERYWHERE)]
    one_way = stage.vpc("nacl-out")
    stage.consumer.network_acl(
        one_way.id, stage.consumer.subnets(one_way.id, "endpoints"), egress=outbound
    )
    stage.endpoint(
        "nacl-return",
        one_way,
        "sqs",
        "The ACL of its subnets lets no answer out to the clients' ephemeral ports.",
        check="network_acl",
        status="fail",
    )


def _gateways(stage: Stage) -> None:
    """Add gateway endpoints that the clients' routes or groups do not lead to."""
    _gateway(
        stage,
        "gateway-no-route",
        stage.vpc("no-route", internet=False),
        "The clients' subnets have a route table without a route to it.",
        "route",
        routed=False,
    )
    _gateway(
        stage,
        "gateway-blackhole",
        stage.vpc("blackhole", internet=False),
        "The route in the clients' table is a blackhole.",
        "route",
        state="blackhole",
    )
    closed = stage.vpc("s3-egress", internet=False, egress=[("tcp", 443, "10.0.0.0/8")])
    _gateway(
        stage,
        "gateway-egress-closed",
        closed,
        "The clients' group lets them out to 10.0.0.0/8 only, not to the prefix list of S3.",
        "security_group",
    )
    edge = stage.vpc("gwlb-blackhole")
    endpoint_id = stage.endpoint(
        "gwlb-blackhole",
        edge,
        stage.services["inspection"],
        "The clients' default route to it is a blackhole.",
        kind="GatewayLoadBalancer",
        clients=(),
        check="route",
        status="fail",
    )
    stage.consumer.route_table(
        edge.id,
        [(EVERYWHERE, endpoint_id, "blackhole")],
        stage.consumer.subnets(edge.id, "app"),
    )
    stage.endpoint(
        "zone-mismatch",
        stage.vpc("zone"),
        stage.services["orders"],
        "It is only in a zone that the service has left, though the zone's name is in both lists.",
        zones=(2,),
        answered=False,
        check="availability_zones",
        status="fail",
    )


def _gateway(
    stage: Stage,
    name: str,
    vpc: Vpc,
    summary: str,
    check: str,
    *,
    routed: bool = True,
    state: str = "active",
) -> None:
    """Add a gateway endpoint; without `routed` its route is only in the endpoints' own subnets."""
    build = vpc.build
    tiers = {tier: build.subnets(vpc.id, tier) for tier in ("app", "endpoints")}
    theirs = build.route_table(vpc.id, subnets=tiers["app"])
    others = build.route_table(vpc.id, subnets=tiers["endpoints"])
    table = theirs if routed else others
    endpoint_id = build.gateway_endpoint(vpc.id, name, S3, [table])
    stage.row("RouteTables", "RouteTableId", table)["Routes"].append(
        route(S3_PREFIX_LIST, endpoint_id, state)
    )
    stage.told(name, "endpoint", build, endpoint_id, summary, check, "fail")
    stage.world.traffic.append(Traffic(endpoint_id, vpc.clients[0], answered=False))


def _flow_logs(stage: Stage) -> None:
    """Add endpoints whose traffic no flow log tells of, or not all of it."""
    dark = stage.vpc("dark", flow_log=False)
    failed = stage.vpc("undelivered", flow_log=False)
    stage.consumer.flow_log(failed.id, "/vpc/undelivered", error="Access error")
    partly = stage.vpc("accepts", flow_log=False)
    stage.consumer.flow_log(partly.id, "/vpc/accepts", traffic="ACCEPT")
    for name, vpc, summary in (
        ("no-flow-log", dark, "No flow log covers it."),
        ("flow-log-failed", failed, "Its flow log cannot deliver: Access error."),
        ("flow-log-accept-only", partly, "Its flow log has no REJECT."),
    ):
        stage.endpoint(name, vpc, "kms", summary, check="flow_log_coverage", status="warn")


def _behind(stage: Stage) -> None:
    """Add endpoints that are right themselves; what stands behind them is not."""
    vpc = stage.vpc("behind")
    behind = (
        ("to-no-listener", "no-listener", "nlb_listener", "fail"),
        ("to-wrong-listener", "wrong-listener", "nlb_listener", "fail"),
        ("to-zone-without-targets", "zone-without-targets", "nlb_targets", "warn"),
        ("to-all-unhealthy", "all-unhealthy", "nlb_targets", "fail"),
        ("to-nlb-closed", "nlb-closed", "nlb_security_group", "fail"),
        ("to-target-closed", "target-closed", "target_security_group", "fail"),
    )
    for name, service, check, status in behind:
        stage.endpoint(
            name,
            vpc,
            stage.services[service],
            f"Its own side is right; the provider's service {service} is not.",
            check=check,
            status="warn" if status == "warn" else "fail",
            answered=status == "warn",
        )
