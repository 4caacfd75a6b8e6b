"""What is planted in the simulated organisation, the API and the metrics show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from exporter import metrics as m
from tests.harness import Series, exporter, select, simulator, until

Json = Any
OWNER = {"owner": "222233334444", "account": "222233334444"}


class Seen:
    """All that one run of the exporter shows of the organisation."""

    def __init__(self, scenarios: Json, shown: dict[str, Json], series: Series) -> None:
        self.scenarios = scenarios
        self.shown = shown
        self.series = series

    def of(
        self, name: str, metric: m.Metric, **labels: str
    ) -> dict[frozenset[tuple[str, str]], float]:
        scenario = self.scenarios[name]
        where = {f"{scenario['kind']}_id": scenario["id"]}
        where |= {"account": scenario["account"], "region": scenario["region"]}
        return select(self.series, metric.name, **where, **labels)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Everything, once every collector has had a pass and names have been asked for."""
    directory = tmp_path_factory.mktemp("organisation")
    with simulator("--world", "organisation", "--no-clock") as aws:
        config = aws.organised(directory / "config.yaml", "metrics: {tag_labels: [team]}\n")
        with exporter(aws.environment, directory, f"--config.file={config}") as running:
            until(running.ready, 60)
            until(lambda: set(select(running.series(), m.COLLECTOR_UP.name).values()) == {1.0}, 30)
            shown = {
                name: running.json(f"/api/v1/{s['kind']}s/{s['id']}")
                for name, s in aws.about["scenarios"].items()
            }
            shown["endpoints"] = running.json("/api/v1/endpoints")
            shown["services"] = running.json("/api/v1/services")
            shown["missing"] = running.get("/api/v1/endpoints/vpce-0").json()
            shown["page"] = running.get("/").text
            yield Seen(aws.about["scenarios"], shown, running.series())
            assert running.stop() == 0


def problems(e: Json) -> set[tuple[str, str]]:
    return {(x["kind"], x["problem"]) for x in e["dns"] if x["problem"]}


def kinds(e: Json) -> set[str]:
    return {x["kind"] for x in e["dns"] if x["matches"]}


def ingress(e: Json, key: str = "security_group_rules") -> list[tuple[Json, ...]]:
    return [
        (
            r["protocol"],
            r["from_port"],
            r["to_port"],
            r["cidr"] or r["prefix_list_id"] or r["referenced_group_id"],
        )
        for r in e[key]
        if not r["egress"]
    ]


def clients_egress(e: Json) -> set[tuple[Json, ...]]:
    return {
        (r["protocol"], r["from_port"], r["cidr"])
        for r in e["clients"]["security_group_rules"]
        if r["egress"]
    }


def acl(e: Json, egress: bool) -> list[tuple[Json, ...]]:
    """The entries of the network ACL in force where the endpoint's interfaces are."""
    subnets = {i["subnet_id"] for i in e["interface_details"].values()}
    (acl_id,) = {s["network_acl_id"] for s in e["subnets"] if s["id"] in subnets}
    (found,) = [a for a in e["network_acls"] if a["id"] == acl_id]
    return [
        (
            x["number"],
            "allow" if x["allow"] else "deny",
            x["protocol"],
            x["from_port"],
            x["to_port"],
        )
        for x in found["entries"]
        if x["egress"] is egress
    ]


def routes(e: Json, target: str | None = None) -> set[tuple[str, str, str]]:
    """(route table, destination, state) of the routes to the target, the endpoint by default."""
    return {
        (table["id"], r["destination"], r["state"])
        for table in e["route_tables"]
        for r in table["routes"]
        if r["target"] == (target or e["id"])
    }


def targets(e: Json) -> set[str]:
    """Where the VPC's routes lead."""
    return {r["target"] for table in e["route_tables"] for r in table["routes"]}


def client_tables(e: Json) -> set[str]:
    """The route tables in force where the clients are."""
    subnets = {i["subnet_id"] for i in e["clients"]["interfaces"]}
    return {s["route_table_id"] for s in e["subnets"] if s["id"] in subnets}


def zones(e: Json) -> set[str]:
    return {i["zone_id"] for i in e["interfaces"]}


def listeners(s: Json) -> list[tuple[str, int]]:
    return [(x["protocol"], x["port"]) for lb in s["load_balancers"] for x in lb["listeners"]]


def cross_zone(s: Json) -> set[str]:
    return {lb["attributes"]["load_balancing.cross_zone.enabled"] for lb in s["load_balancers"]}


def provider(e: Json) -> tuple[str, str]:
    return e["provider"]["name"], e["provider"]["connection_state"]


def behind(name: str, e: Json) -> bool:
    """Whether the endpoint is at that provider's service, and right itself."""
    return provider(e) == (name, "available") and not problems(e)


ALL_KINDS = {"regional", "zonal", "private"}
# What each scenario plants, as a fact about what the API shows of it.
FACTS: dict[str, Callable[[Json], bool]] = {
    # The provider's side.
    "orders": lambda s: s["state"] == "available" and s["private_dns"]["state"] == "verified"
    and set(s["targets"]) == set(s["zone_ids"]) and cross_zone(s) == {"false"}
    and all(states == {"healthy": states["healthy"]} for states in s["targets"].values()),
    "inspection": lambda s: s["types"] == ["GatewayLoadBalancer"]
    and s["load_balancers"][0]["type"] == "gateway",
    "ledger": lambda s: s["acceptance_required"] and s["connections"]["pending_acceptance"] == 1
    and all(c["created"] for c in s["connection_details"]),
    "guarded": lambda s: s["acceptance_required"] and s["connections"]["available"] >= 1
    and "pending_acceptance" not in s["connections"],
    "private-dns-pending": lambda s: s["private_dns"]["state"] == "pendingVerification"
    and s["private_dns"]["record_value"].startswith("vpce:"),
    "private-dns-failed": lambda s: s["private_dns"]["state"] == "failed",
    "no-listener": lambda s: listeners(s) == [],
    "wrong-listener": lambda s: listeners(s) == [("TCP", 8443)],
    "zone-without-targets": lambda s: cross_zone(s) == {"false"}
    and s["targets"] == {"euw1-az2": {"unhealthy": 1}, "euw1-az3": {"healthy": 1}},
    "all-unhealthy": lambda s: {k for x in s["targets"].values() for k in x} == {"unhealthy"}
    and {t["reason"] for g in s["target_groups"] for t in g["targets"]}
    == {"Target.FailedHealthChecks"},
    "nlb-closed": lambda s: s["load_balancers"][0]["enforces_inbound"] == "on"
    and ("tcp", 443, 443, "10.250.0.0/16") in ingress(s),
    "target-closed": lambda s: listeners(s) == [("TCP", 443)]
    and ingress(s["target_interfaces"]) != []
    and all(low != 443 for _, low, _, _ in ingress(s["target_interfaces"])),
    "service-failed": lambda s: s["state"] == "failed",
    "service-deleting": lambda s: s["state"] == "deleting",
    # Healthy endpoints of each type.
    "secrets": lambda e: e["type"] == "Interface" and kinds(e) == ALL_KINDS and not problems(e)
    and e["service"]["owner"] == "amazon",
    "orders-api": lambda e: kinds(e) == ALL_KINDS and provider(e) == ("orders", "available")
    and any(x["cnames"] for x in e["dns"] if x["kind"] == "private"),
    "guarded-api": lambda e: provider(e) == ("guarded", "available"),
    "s3-gateway": lambda e: e["type"] == "Gateway" and e["interfaces"] == [] and e["dns"] == []
    and {(d, s) for _, d, s in routes(e)} == {(p["id"], "active") for p in e["prefix_lists"]},
    "s3-inbound-resolver": lambda e: e["private_dns_inbound_only"]
    and not problems(e)
    and [x["kind"] for x in e["dns_not_judged"]] == ["private"],
    "firewall": lambda e: e["type"] == "GatewayLoadBalancer" and e["dns"] == []
    and {s for _, _, s in routes(e)} == {"active"}
    and not client_tables(e).isdisjoint(t for t, _, _ in routes(e)),
    "database": lambda e: e["type"] == "Resource"
    and [a["accessibility"] for a in e["associations"]] == ["Accessible"]
    and ":resourceconfiguration/" in e["associations"][0]["resource_arn"],
    "mesh": lambda e: e["type"] == "ServiceNetwork" and len(e["associations"]) == 2
    and {a["service_network_name"] for a in e["associations"]} == {"mesh"},
    "dualstack": lambda e: e["dns_record_ip_type"] == "dualstack" and kinds(e) == ALL_KINDS
    and all({":" in a for a in x["answers"]} == {True, False} for x in e["dns"]),
    "ipv6": lambda e: kinds(e) == ALL_KINDS
    and all(":" in a for x in e["dns"] for a in x["answers"]),
    "cross-region": lambda e: (e["region"], e["service_region"]) == ("us-east-1", "eu-west-1"),
    "us-queue": lambda e: e["region"] == e["service_region"] == "us-east-1"
    and kinds(e) == ALL_KINDS,
    "tools-logs": lambda e: e["account"] == "111122223333" and kinds(e) == ALL_KINDS,
    # Odd, and right.
    "hub-kms": lambda e: not e["private_dns_enabled"] and not problems(e)
    and kinds(e) == {"regional", "zonal", "service"},
    "sg-by-group": lambda e: ingress(e)[0][3] in {
        g for i in e["clients"]["interfaces"] for g in i["security_group_ids"]},
    "sg-by-prefix-list": lambda e: [p["id"] for p in e["prefix_lists"]] == [ingress(e)[0][3]]
    and "192.0.2.0/24" in e["prefix_lists"][0]["entries"],
    "sg-all-protocols": lambda e: ingress(e) == [("-1", None, None, e["vpc"]["cidrs"][0])],
    "shared-vpc": lambda e: {k: e[k] for k in OWNER} == OWNER,
    "requester-managed": lambda e: e["requester_managed"],
    "wildcard-name": lambda e: any(x["name"].startswith("*.") and x["matches"] for x in e["dns"]),
    "restricting-policy": lambda e: "*" not in [s["Resource"] for s in e["policy"]["Statement"]],
    "hidden-interfaces": lambda e: all(i["addresses"] for i in e["interfaces"])
    and len(zones(e)) == 2,
    "late-rejects": lambda e: e["flow_coverage"] == {"ACCEPT": 1.0, "REJECT": 1.0},
    "scanned": lambda e: e["flow_coverage"] == {"ACCEPT": 1.0, "REJECT": 1.0},
    "custom-format": lambda e: e["flow_coverage"] == {"ACCEPT": 1.0, "REJECT": 1.0},
    "slow-aggregation": lambda e: e["flow_coverage"] == {"ACCEPT": 1.0, "REJECT": 1.0},
    "overlapping-logs": lambda e: e["flow_coverage"] == {"ACCEPT": 1.0, "REJECT": 1.0},
    # States.
    "awaiting-acceptance": lambda e: e["state"] == "pending_acceptance"
    and provider(e) == ("ledger", "pending_acceptance"),
    "rejected": lambda e: e["state"] == "rejected" and provider(e)[1] == "rejected",
    "failed": lambda e: e["state"] == "failed" and "InsufficientFreeAddresses" in e["last_error"],
    "expired": lambda e: e["state"] == "expired",
    "partial": lambda e: e["state"] == "partial"
    and sorted(a["accessibility"] for a in e["associations"]) == ["Accessible", "Inaccessible"]
    and any(a["failure"] for a in e["associations"]),
    "stuck-pending": lambda e: e["state"] == "pending" and e["created"] > "2025",
    "deleting": lambda e: e["state"] == "deleting" and e["dns"] == [],
    "unknown-state": lambda e: e["state"] == "unknown" and e["aws_state"] not in ("", "unknown"),
    # Names.
    "dns-hostnames-off": lambda e: e["private_dns_enabled"]
    and e["vpc_attributes"] == {"dns_support": True, "dns_hostnames": False}
    and problems(e) == {("private", "public_address")},
    "private-dns-off": lambda e: not e["private_dns_enabled"]
    and problems(e) == {("service", "public_address")}
    and any(t.startswith("nat-") for t in targets(e)),
    "private-dns-off-no-internet": lambda e: not e["private_dns_enabled"]
    and problems(e) == {("service", "public_address")} and targets(e) == {"local"},
    "foreign-answer": lambda e: problems(e) == {("private", "foreign_address")},
    "names-lost": lambda e: problems(e) == {("regional", "nxdomain"), ("zonal", "nxdomain")},
    # Rules.
    "sg-port-missing": lambda e: ingress(e) == [("tcp", 8443, 8443, e["vpc"]["cidrs"][0])],
    "sg-other-group": lambda e: ingress(e)[0][3] not in {
        g for i in e["clients"]["interfaces"] for g in i["security_group_ids"]},
    "sg-toggled": lambda e: ingress(e) == [],
    "client-egress-closed": lambda e: clients_egress(e) != set()
    and all((p, f) != ("-1", None) and f != 443 for p, f, _ in clients_egress(e)),
    "policy-denies-all": lambda e: {s["Effect"] for s in e["policy"]["Statement"]} == {"Deny"},
    "nacl-inbound": lambda e: acl(e, egress=False)[0][1:] == ("deny", "6", 443, 443),
    "nacl-return": lambda e: acl(e, egress=True)[0][1:] == ("allow", "6", 443, 443)
    and acl(e, egress=True)[-1][:3] == (32767, "deny", "-1"),
    "gateway-no-route": lambda e: bool(routes(e))
    and client_tables(e).isdisjoint(t for t, _, _ in routes(e)),
    "gateway-blackhole": lambda e: {
        s for t, _, s in routes(e) if t in client_tables(e)} == {"blackhole"},
    "gateway-egress-closed": lambda e: {c for _, _, c in clients_egress(e)} == {"10.0.0.0/8"},
    "gwlb-blackhole": lambda e: {
        s for t, _, s in routes(e) if t in client_tables(e)} == {"blackhole"},
    # Both sides' zone names are in both lists; the ids tell.
    "zone-mismatch": lambda e: zones(e).isdisjoint(e["service"]["zone_ids"])
    and {i["zone"] for i in e["interfaces"]} <= {"eu-west-1a", "eu-west-1b", "eu-west-1c"},
    # Flow logs.
    "no-flow-log": lambda e: e["flow_coverage"] == {"ACCEPT": 0, "REJECT": 0}
    and not e["flow_logs"],
    "flow-log-failed": lambda e: e["flow_coverage"] == {"ACCEPT": 0, "REJECT": 0}
    and not e["flow_logs"]
    and [f["delivery_error"] for f in e["covering_flow_logs"]] == ["Access error"],
    "flow-log-accept-only": lambda e: e["flow_coverage"] == {"ACCEPT": 1, "REJECT": 0}
    and set(e["flow_logs"]["records"]) == {"ACCEPT"},
    # The provider's fault, seen from the consumer.
    **{
        f"to-{name}": partial(behind, name)
        for name in (
            "no-listener", "wrong-listener", "zone-without-targets", "all-unhealthy", "nlb-closed",
            "target-closed",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FACTS)
def test_what_is_planted_is_shown(seen: Seen, name: str) -> None:
    """The API shows the fact that the scenario plants, with nothing unavailable around it."""
    shown = seen.shown[name]
    assert shown["id"] == seen.scenarios[name]["id"]
    assert "'unavailable'" not in str({k: v for k, v in shown.items() if k != "associations"})
    assert FACTS[name](shown), shown


@pytest.mark.parametrize("name", FACTS)
def test_the_metrics_say_the_same(seen: Seen, name: str) -> None:
    """One series of info, one state, and the numbers that the API has."""
    shown = seen.shown[name]
    kind = seen.scenarios[name]["kind"]
    info, state = (
        (m.ENDPOINT_INFO, m.ENDPOINT_STATE)
        if kind == "endpoint"
        else (m.SERVICE_INFO, m.SERVICE_STATE)
    )
    (labels,) = seen.of(name, info)
    assert dict(labels)["service_name"] == shown["service_name"]
    assert dict(labels)["tag_team"] == shown["tags"].get("team", "")
    states = {dict(labels)["state"]: value for labels, value in seen.of(name, state).items()}
    assert {s for s, value in states.items() if value} == {shown["state"]}
    if kind == "endpoint":
        wrong = {
            dict(labels)["name_kind"]
            for labels, value in seen.of(name, m.DNS_ANSWERS_MATCH).items()
            if value == 0
        }
        assert wrong == {k for k, _ in problems(shown)} - {"service"}
        coverage = seen.of(name, m.FLOW_COVERAGE_RATIO)
        assert {dict(k)["action"]: v for k, v in coverage.items()} == shown["flow_coverage"]
        return
    connections = seen.of(name, m.SERVICE_CONNECTIONS)
    counted = {dict(k)["state"]: v for k, v in connections.items() if v}
    assert counted == shown["connections"]
    assert len(seen.of(name, m.SERVICE_OLDEST_PENDING)) == ("pending_acceptance" in counted)
    by_zone: dict[str, dict[str, float]] = {}
    for key, value in seen.of(name, m.SERVICE_TARGETS).items():
        if value:
            where = dict(key)
            by_zone.setdefault(where["availability_zone_id"], {})[where["state"]] = value
    assert by_zone == shown["targets"]
    verified = [float(shown["private_dns"]["state"] == "verified")] if shown["private_dns"] else []
    assert list(seen.of(name, m.SERVICE_PRIVATE_DNS_VERIFIED).values()) == verified


def test_every_scenario_has_its_facts(seen: Seen) -> None:
    """A scenario that is planted is tested, and nothing else is listed."""
    assert set(seen.scenarios) == set(FACTS)
    ids = {s["id"] for s in seen.scenarios.values()}
    listed = [*seen.shown["endpoints"]["endpoints"], *seen.shown["services"]["services"]]
    assert {x["id"] for x in listed} == ids
    assert len(listed) == len(ids)  # a shared endpoint once


def test_nothing_is_hidden(seen: Seen) -> None:
    """What was not found says whether there was anywhere that could not be looked."""
    assert seen.shown["missing"] == {"error": "not found", "unavailable": []}
    assert seen.shown["endpoints"]["unavailable"] == []
    for scenario in seen.scenarios.values():
        assert scenario["id"] in seen.shown["page"]


def test_the_number_of_series(seen: Seen) -> None:
    """A healthy endpoint has at most 45 series."""
    endpoint_id = seen.scenarios["orders-api"]["id"]
    assert sum(("endpoint_id", endpoint_id) in labels for _, labels in seen.series) <= 45
