"""The small world of most tests, and the names that a test of any world starts from."""

from __future__ import annotations

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator.builder import Builder
from exporter.simulator.state import ACCOUNT, HOME, PUBLIC, REGION, Row, Traffic, Where, World

__all__ = [
    "ACCOUNT",
    "HOME",
    "PUBLIC",
    "REGION",
    "RICH_FORMAT",
    "Builder",
    "Row",
    "Traffic",
    "Where",
    "World",
    "mixed_world",
    "small_world",
]

ZONES = (("eu-west-1a", "euw1-az1"), ("eu-west-1b", "euw1-az2"))
RICH_FORMAT = (
    DEFAULT + " ${vpc-id} ${subnet-id} ${tcp-flags} ${type} ${pkt-srcaddr} ${pkt-dstaddr} "
    "${flow-direction}"
)


def small_world(seed: int = 1) -> World:
    """Return one account with six endpoints, five of them with one fault each."""
    world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT}, one_resolver=True)
    build = Builder(world, seed)
    build.zones(*ZONES)
    shop = build.vpc("10.1.0.0/16", "shop")
    legacy = build.vpc("10.2.0.0/16", "legacy", dns_hostnames=False)
    lab = build.vpc("10.3.0.0/16", "lab")
    build.flow_log(shop, "/vpc/shop", RICH_FORMAT)
    build.flow_log(legacy, "/vpc/legacy")
    payments = build.security_group(shop, "payments-endpoint", None)
    world.toggled_group = payments

    def service(number: int) -> str:
        return f"com.amazonaws.vpce.{REGION}.vpce-svc-{number:017x}"

    healthy = build.endpoint(
        shop,
        "secrets",
        f"com.amazonaws.{REGION}.secretsmanager",
        private_name=f"secretsmanager.{REGION}.amazonaws.com",
    )
    pending = build.endpoint(shop, "ledger", service(0xA1), state="pendingAcceptance")
    rejected = build.endpoint(
        shop,
        "reports",
        service(0xA2),
        state="rejected",
        error=("ConnectionRejected", "The endpoint service owner rejected the connection."),
    )
    closed = build.endpoint(
        shop,
        "payments",
        service(0xA3),
        private_name="payments.example.com",
        group_id=payments,
    )
    public = build.endpoint(
        legacy,
        "queue",
        f"com.amazonaws.{REGION}.sqs",
        private_name=f"sqs.{REGION}.amazonaws.com",
    )
    dark = build.endpoint(
        lab,
        "metrics",
        f"com.amazonaws.{REGION}.monitoring",
        private_name=f"monitoring.{REGION}.amazonaws.com",
    )
    world.broken = {
        pending: "pendingAcceptance: its provider has not accepted the connection",
        rejected: "rejected: its provider refused the connection",
        closed: "REJECT: its security group lacks the rule for port 443, now and then",
        public: "its private name resolves to a public address: the VPC has DNS hostnames off",
        dark: "no flow log: nothing tells whether its traffic is accepted",
    }
    clients = [build.client(shop, 0, name="web"), build.client(shop, 1, name="worker")]
    world.traffic = [
        Traffic(healthy, clients[0], connections=3),
        Traffic(closed, clients[1], connections=4),
        Traffic(closed, clients[0], connections=2),
        Traffic(public, build.client(legacy, name="batch")),
        Traffic(dark, build.client(lab, name="lab")),
    ]
    return world


def mixed_world(seed: int = 1) -> World:
    """Return one account whose flow logs are delivered and read in every way, each in its VPC.

    The VPCs and endpoints are named by the way: logs, text, hourly, queue, query. A queue is told
    of the files of queue, some of them twice.
    """
    world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT}, one_resolver=True)
    build = Builder(world, seed)
    build.zones(*ZONES)
    ways: dict[str, Row] = {
        "logs": {"group": "/vpc/logs"},
        "text": {"bucket": "flow-logs-text", "prefix": "vpc"},
        "hourly": {"bucket": "flow-logs-hourly", "hive": True, "per_hour": True},
        "queue": {"bucket": "flow-logs-queue", "parquet": True},
        "query": {"group": "/insights/query"},
    }
    for number, (name, how) in enumerate(ways.items(), 1):
        vpc = build.vpc(f"10.{number}.0.0/16", name)
        build.flow_log(vpc, log_format=RICH_FORMAT, **how)
        service = f"com.amazonaws.{REGION}.sqs"
        open_ = build.endpoint(vpc, name, service)
        closed = build.security_group(vpc, f"{name}-closed", None)
        shut = build.endpoint(vpc, f"{name}-shut", service, group_id=closed)
        client = build.client(vpc, name=f"{name}-client")
        world.traffic += [Traffic(open_, client, connections=3), Traffic(shut, client)]
    build.queue("flow-log-files", "flow-logs-queue", duplicates=0.3)
    return world
