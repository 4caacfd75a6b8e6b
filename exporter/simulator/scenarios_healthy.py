"""Endpoints of every type that work."""

from __future__ import annotations

from exporter.simulator import lattice
from exporter.simulator.networks import route
from exporter.simulator.stage import Stage
from exporter.simulator.state import REGION, Traffic

S3_PREFIX_LIST = "pl-6da54004"
S3_BLOCKS = ("203.0.113.0/25", "203.0.113.128/25")


def declare(stage: Stage) -> None:
    """Declare the healthy endpoints."""
    stage.consumer.prefix_list(
        f"com.amazonaws.{REGION}.s3", *S3_BLOCKS, owner="AWS", list_id=S3_PREFIX_LIST
    )
    endpoint = stage.endpoint
    shop = stage.vpc("shop")
    tags = {"team": "payments"}
    endpoint("secrets", shop, "secretsmanager", "An AWS service by its own name.", tags=tags)
    endpoint(
        "orders-api",
        shop,
        stage.services["orders"],
        "A provider's service by its private name.",
        private_name="orders.example.com",
        tags=tags,
    )
    endpoint(
        "guarded-api",
        shop,
        stage.services["guarded"],
        "A provider's service whose connection has been accepted.",
    )
    _gateway(stage)
    _firewall(stage)
    lattice.resource(stage, shop, "database", "A database, by a resource configuration.")
    lattice.service_network(stage, shop, "mesh", "A service network with two associations.")
    # Its flow log is Parquet, and a queue is told of each file.
    six = stage.vpc("six", ip="dualstack", flow_log={"bucket": "flow-logs-six", "parquet": True})
    stage.consumer.queue("flow-log-files", "flow-logs-six", duplicates=0.1)
    both = [("tcp", 443, six.cidr), ("tcp", 443, "2001:db8::/32")]
    endpoint("dualstack", six, "kms", "Answers with A and AAAA.", ip="dualstack", ingress=both)
    endpoint("ipv6", six, "lambda", "Answers with AAAA only.", ip="ipv6", ingress=both)
    # Its log group is meant for Logs Insights.
    far = stage.vpc("far", build=stage.consumer_us, flow_log={"group": "/insights/far"})
    endpoint(
        "cross-region",
        far,
        stage.services["orders"],
        "A service of another Region: zones are not compared.",
        service_region=REGION,
        private_name="orders.example.com",
    )
    endpoint("us-queue", far, "sqs", "An AWS service in the other Region.", tags={"team": "search"})
    tools = stage.vpc("tools", build=stage.management)
    endpoint("tools-logs", tools, "logs", "The account that the exporter runs in has one, too.")
    stage.world.host_vpc = tools.id


def _gateway(stage: Stage) -> None:
    """Add a gateway endpoint for S3 whose route is in the clients' table."""
    data = stage.vpc("data", internet=False)
    subnets = stage.consumer.subnets(data.id, "app")
    table = stage.consumer.route_table(data.id, subnets=subnets)
    endpoint_id = stage.consumer.gateway_endpoint(
        data.id, "s3-gateway", f"com.amazonaws.{REGION}.s3", [table]
    )
    stage.row("RouteTables", "RouteTableId", table)["Routes"].append(
        route(S3_PREFIX_LIST, endpoint_id)
    )
    summary = "S3 by a gateway endpoint, its route in the clients' table."
    stage.told("s3-gateway", "endpoint", stage.consumer, endpoint_id, summary, None, "pass")
    stage.world.traffic.append(Traffic(endpoint_id, data.clients[0]))
    # AWS demands a gateway endpoint beside this one: traffic from the VPC goes there on purpose.
    stage.endpoint(
        "s3-inbound-resolver",
        data,
        "s3",
        "S3 by an interface endpoint whose private name is for inbound resolvers only.",
        resolves_to=["203.0.113.20", "203.0.113.140"],
        clients=(),
        DnsOptions={
            "DnsRecordIpType": "ipv4",
            "PrivateDnsOnlyForInboundResolverEndpoint": True,
        },
    )


def _firewall(stage: Stage) -> None:
    """Add a Gateway Load Balancer endpoint that the clients' default route goes to."""
    edge = stage.vpc("edge")
    endpoint_id = stage.endpoint(
        "firewall",
        edge,
        stage.services["inspection"],
        "A Gateway Load Balancer endpoint with a route to it.",
        kind="GatewayLoadBalancer",
        clients=(),
    )
    stage.consumer.route_table(
        edge.id,
        [("0.0.0.0/0", endpoint_id, "active")],
        stage.consumer.subnets(edge.id, "app"),
    )
