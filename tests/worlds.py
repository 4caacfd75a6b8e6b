"""A fixed world for the golden exposition: one of everything."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from exporter.aws.session import RequestKey
from exporter.flowlogs import attribute, tally
from exporter.flowlogs.ingest import Report
from exporter.flowlogs.notes import Noted
from exporter.flowlogs.passing import SourceReport
from exporter.flowlogs.tally import Port
from exporter.model import (
    NO_ANSWER,
    Change,
    Connection,
    Diagnosis,
    Dial,
    DnsName,
    Endpoint,
    EndpointService,
    Finding,
    FlowLog,
    Interface,
    Inventory,
    Kind,
    Known,
    LoadBalancer,
    LoadBalancerZone,
    Lookup,
    NameKind,
    PrivateDnsName,
    Recorded,
    Scope,
    Target,
    TargetGroup,
    Unavailable,
    Vpc,
)
from exporter.store import CounterKey
from exporter.world import CollectorStatus, Estate, World

NOW = 1_700_000_000.0
SCOPE = Scope("111122223333", "eu-west-1")
ENDPOINT = Endpoint(
    "vpce-0a1",
    SCOPE,
    "Interface",
    "available",
    "com.amazonaws.eu-west-1.sqs",
    "vpc-0a1",
    subnet_ids=("subnet-0a1",),
    interface_ids=("eni-0a1", "eni-0a2"),
    private_dns_enabled=True,
    dns_names=(DnsName("sqs.eu-west-1.amazonaws.com", "private"),),
    tags={"Name": 'queue "one"\\two\nthree'},
)
PENDING = Endpoint(
    "vpce-0a2", SCOPE, "Interface", "pending_acceptance", "com.amazonaws.vpce.x", "vpc-0a1"
)
INTERFACE = Interface(
    "eni-0a1", "vpc-0a1", "subnet-0a1", "eu-west-1a", "euw1-az1", (ip_address("10.1.0.10"),)
)
FLOW_LOG = FlowLog(
    "fl-0a1",
    "subnet-0a1",
    "ALL",
    "cloud-watch-logs",
    "/vpc",
    "",
    60,
    "ACTIVE",
    "SUCCESS",
)

SERVICE = EndpointService(
    "vpce-svc-0a1",
    SCOPE,
    "com.amazonaws.vpce.eu-west-1.vpce-svc-0a1",
    "available",
    ("Interface",),
    load_balancer_arns=("arn:lb",),
    private_dns=PrivateDnsName("payments.example.com", "pendingVerification"),
    tags={"Name": "payments", "team": "payments"},
)
CONNECTIONS = (
    Connection("vpce-con-1", SERVICE.id, "vpce-0b1", "222233334444", "available", created=NOW),
    Connection(
        "vpce-con-2", SERVICE.id, "vpce-0b2", "222233334444", "pending_acceptance", created=NOW - 60
    ),
    Connection("vpce-con-3", "vpce-svc-other", "vpce-0b3", "222233334444", "available"),
)
LOAD_BALANCER = LoadBalancer(
    "arn:lb",
    "payments",
    "network",
    "active",
    "vpc-0a1",
    (LoadBalancerZone("eu-west-1a", "subnet-0a1"),),
)
TARGET_GROUP = TargetGroup("arn:tg", "payments", "TCP", 443, "vpc-0a1", "ip", ("arn:lb",))
TARGETS = (
    Target("10.1.0.10", 443, "", "healthy"),
    Target("10.9.0.10", 443, "", "draining", "Target.DeregistrationInProgress"),
)

DIALS = (
    Dial(
        "vpce-0a1",
        ip_address("10.1.0.10"),
        443,
        NOW - 5,
        0.002,
        name="sqs.eu-west-1.amazonaws.com",
        names=("sqs.eu-west-1.amazonaws.com",),
        not_after=NOW + 864000,
    ),
    Dial("vpce-0a1", ip_address("10.1.1.10"), 443, NOW - 5, 3.0, NO_ANSWER),
)

REVOKED = Change(
    "e1",
    SCOPE,
    NOW - 600,
    "RevokeSecurityGroupIngress",
    "ec2.amazonaws.com",
    "role/deploy (session alice)",
    "198.51.100.31",
    "ok",
    frozenset(["sg-0a1"]),
    "revoked tcp 443 from 10.0.0.0/8",
)
DENIED = replace(
    REVOKED,
    id="e2",
    at=NOW - 60,
    event="AuthorizeSecurityGroupIngress",
    outcome="denied",
    error="Client.UnauthorizedOperation",
)


def lookup(
    name: str, problem: str | None, matches: bool | None, kind: NameKind = "private"
) -> Lookup:
    return Lookup(
        "vpce-0a1",
        DnsName(name, kind),
        "10.1.0.2:53",
        "NOERROR",
        (ip_address("203.0.113.10"),),
        (ip_address("10.1.0.10"),),
        (),
        60,
        0.004,
        NOW,
        problem,
        matches,
    )


def inventory() -> Inventory:
    other = replace(INTERFACE, id="eni-0a2", subnet_id="subnet-0a2")
    kept_to = {
        "connections": frozenset({SERVICE.id}),
        "load_balancers": frozenset({"arn:lb"}),
        "target_groups": frozenset({"arn:lb"}),
    }
    return Inventory(
        SCOPE,
        kept_to,
        endpoints=Known({"vpce-0a1": ENDPOINT, "vpce-0a2": PENDING}, NOW),
        interfaces=Known({"eni-0a1": INTERFACE, "eni-0a2": other}, NOW),
        vpcs=Known({"vpc-0a1": Vpc("vpc-0a1", "", ())}, NOW),
        subnets=Unavailable("DescribeSubnets: UnauthorizedOperation: no", "denied"),
        flow_logs=Known({"fl-0a1": FLOW_LOG}, NOW),
        services=Known({"vpce-svc-0a1": SERVICE}, NOW),
        connections=Known({c.id: c for c in CONNECTIONS}, NOW),
        load_balancers=Known({LOAD_BALANCER.id: LOAD_BALANCER}, NOW),
        target_groups=Known({TARGET_GROUP.id: TARGET_GROUP}, NOW),
        target_health={TARGET_GROUP.id: Known(TARGETS, NOW)},
    )


def fixed_world() -> World:
    """Return a world that has a sample of every metric."""
    counters = {
        CounterKey("vpce-0a1", tally.RECORDS, "ACCEPT"): 12,
        CounterKey("vpce-0a1", tally.RECORDS, "REJECT"): 0,
        CounterKey("vpce-0a1", tally.BYTES, "ACCEPT"): 2**40,
        CounterKey("vpce-0a1", tally.PACKETS, "ACCEPT"): 34,
        CounterKey("vpce-0a1", tally.REJECTED_CONNECTIONS, ""): 0,
        CounterKey("vpce-0a1", tally.CLIENT_RECORDS, "REJECT"): 3,
        CounterKey("vpce-0a1", tally.CLIENT_REJECTED, ""): 2,
        CounterKey("fl-0a1", tally.LINES, "counted"): 12,
        CounterKey("fl-0a1", tally.LINES, "malformed"): 1,
        CounterKey("vpce-gone", tally.RECORDS, "REJECT"): 5,
    }
    sources = {"/vpc": SourceReport(("fl-0a1",), NOW - 30)}
    minute = int(NOW) // 60 * 60
    recent = {
        ("vpce-0a1", minute, 6, 443): 7,
        ("vpce-0a1", minute, 6, 8443): 2,
        ("vpce-0a1", minute, 17, 53): 1,
        ("vpce-0a1", minute - 1200, 6, 8080): 4,
    }
    noted = Noted(recent, frozenset([Port("vpce-0a1", 6, 8080)]))
    found = inventory()
    estate = Estate(
        SCOPE,
        found,
        attribute.index(found),
        (
            lookup("sqs.eu-west-1.amazonaws.com", "public_address", False),
            lookup("legacy.example.com", None, True),
            # Of the service, not the endpoint: no metric has it.
            lookup("sqs.eu-west-1.api.aws", "public_address", False, "service"),
        ),
        Report(counters, {"fl-0a1": NOW - 60}, sources, noted=noted, number=1),
        recorded=Recorded((DENIED, REVOKED), {(c.event, c.outcome): 1 for c in (DENIED, REVOKED)}),
        touched={ENDPOINT.id: (DENIED, REVOKED), SERVICE.id: (REVOKED,)},
        dials=DIALS,
    )
    statuses = (
        CollectorStatus("inventory", SCOPE, "", NOW, 0.5, None, {"subnets": "denied"}),
        CollectorStatus("dns", SCOPE, "10.1.0.2:53", NOW, 0.1, NOW),
        CollectorStatus("dns", SCOPE, "10.1.0.3:53", NOW, 0.2, NOW - 9),
    )
    requests = {
        RequestKey("111122223333", "eu-west-1", "ec2", "DescribeSubnets", "denied"): 1,
        RequestKey("111122223333", "eu-west-1", "ec2", "DescribeVpcEndpoints", "ok"): 1,
    }
    costs = {("s3", "GetObject"): 0.25}
    return World(
        NOW, "0.0.0", "3.11.0", (estate,), statuses, requests, True, ("team",), costs=costs
    )


def diagnosis(of: Endpoint | EndpointService, *checks: Finding) -> Diagnosis:
    """Return a diagnosis with these findings; the first that fails is the root cause."""
    kind: Kind = "endpoint" if isinstance(of, Endpoint) else "service"
    vpc_id = of.vpc_id if isinstance(of, Endpoint) else ""
    cause = next((f for f in checks if f.status == "fail"), None)
    return Diagnosis(of.scope, of.id, kind, of.name, of.service_name, vpc_id, checks, cause)


def fixed_diagnoses() -> tuple[Diagnosis, ...]:
    """Return a diagnosis of each endpoint and service of the fixed world: one of every status."""
    return (
        diagnosis(
            ENDPOINT,
            Finding("endpoint_state", "pass", "It is available."),
            Finding("flow_log_coverage", "warn", "Half of it is not logged."),
            Finding("connectivity", "not_applicable", "Does not run."),
        ),
        diagnosis(
            PENDING,
            Finding("endpoint_state", "fail", "Not accepted."),
            Finding("availability_zones", "unknown", "Cannot be judged: denied."),
            # The provider's check of that name.
            Finding("availability_zones", "unknown", "Cannot be judged: denied too."),
        ),
        diagnosis(SERVICE, Finding("nlb_listener", "fail", "There is none.")),
    )
