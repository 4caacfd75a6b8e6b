"""What diagnosis is told: what is known, None for what is not, and why something is not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from exporter.config import EndpointSettings, parse
from exporter.facts import Configured, facts, unmatched
from exporter.flowlogs import attribute
from exporter.flowlogs.attribute import Allowed
from exporter.flowlogs.ingest import Report
from exporter.flowlogs.notes import Noted
from exporter.flowlogs.passing import SourceReport
from exporter.flowlogs.sketch import Sketch
from exporter.flowlogs.sourcing import Pick
from exporter.flowlogs.tally import BUCKET, RECORDS, Port
from exporter.flowlogs.tally import Rejected as Who
from exporter.model import (
    Accepted,
    Endpoint,
    Expected,
    Known,
    Listing,
    Rejected,
    Scope,
    Site,
    Traffic,
    Unavailable,
)
from exporter.store import CounterKey
from exporter.world import CollectorStatus, Estate, World
from tests.worlds import DIALS, ENDPOINT, FLOW_LOG, NOW, SCOPE, fixed_world

WORLD = fixed_world()
DENIED: Unavailable[Any] = Unavailable("FilterLogEvents: AccessDenied", "denied")
REJECT = CounterKey(ENDPOINT.id, RECORDS, "REJECT")
CLIENT = Who("10.1.0.99", 443, 6, "endpoint", "to_endpoint", "syn")


def site(world: World) -> Site:
    (found,) = facts(world).sites
    return found


def world(**changes: Any) -> World:
    """The fixed world with another estate."""
    return replace(WORLD, estates=(replace(WORLD.estates[0], **changes),))


def traffic(world: World) -> Traffic:
    return site(world).traffic[ENDPOINT.id]


def rejecting(*whos: Who, **more: Any) -> Report:
    """A report in which these were rejected a minute ago, the first most often."""
    sketch: Sketch[Who] = Sketch()
    for i, who in enumerate(whos):
        sketch.add(who, len(whos) - i, int(NOW) - 120, int(NOW) - 60)
    bucket = int(NOW - 60) // BUCKET * BUCKET
    noted = Noted(rejected={(ENDPOINT.id, bucket): sketch})
    return Report(**{"counters": {REJECT: 1}, "noted": noted, "number": 1, **more})


def test_the_sites_are_the_estates() -> None:
    """Each account and Region is one, with what was seen there and what does not run."""
    found = facts(replace(WORLD, off=frozenset({"connectivity"})))
    assert (found.as_of, found.off) == (NOW, frozenset({"connectivity"}))
    assert [s.scope for s in found.sites] == [SCOPE]
    assert found.sites[0].inventory is WORLD.estates[0].inventory
    assert {x.name.name for x in found.sites[0].lookups[ENDPOINT.id]} >= {
        "sqs.eu-west-1.amazonaws.com",
        "legacy.example.com",
    }


def test_coverage_before_anything_was_read() -> None:
    """Share and flow logs of an endpoint; None before a pass, and while who speaks is unknown."""
    found = traffic(WORLD)
    assert found.coverage == {"ACCEPT": 0.5, "REJECT": 0.5}
    assert [f.id for f in found.covering] == [FLOW_LOG.id]
    assert traffic(world(report=Report())).coverage is None
    assert traffic(world(index=None)).coverage is None


def test_an_interface_that_was_not_listed_yet() -> None:
    """Its coverage is not known, and that is not none."""
    (estate,) = WORLD.estates
    assert estate.index
    index = replace(estate.index, own={})
    assert traffic(world(index=index)).coverage is None


def test_accepted_ports() -> None:
    """Protocol and port on the endpoint's side; none for what a record did not tell."""
    ports = frozenset(
        [Port(ENDPOINT.id, 6, 443), Port(ENDPOINT.id, -1, -1), Port("vpce-0a2", 17, 53)]
    )
    found = site(world(report=Report(noted=Noted(accepted=ports), number=1))).traffic
    assert found[ENDPOINT.id].accepted_ports == {(6, 443)}
    assert found["vpce-0a2"].accepted_ports == {(17, 53)}


def test_who_was_rejected() -> None:
    """The most frequent first, in the model's nouns; twenty at most."""
    odd = Who("10.1.0.98", -1, -1, "client")
    found = traffic(world(report=rejecting(CLIENT, odd)))
    assert found.rejected == (
        Rejected(
            ip_address("10.1.0.99"), 443, 6, "endpoint", "to_endpoint", "syn",
            2, 0, NOW - 120, NOW - 60,
        ),
        Rejected(
            ip_address("10.1.0.98"), None, None, "client", "", "", 1, 0, NOW - 120, NOW - 60
        ),
    )  # fmt: skip
    many = [CLIENT._replace(port=port) for port in range(1, 40)]
    assert len(traffic(world(report=rejecting(*many))).rejected or ()) == 20


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (rejecting(), ()),
        (rejecting(counters={}), None),
        (rejecting(picks={FLOW_LOG.id: Pick("insights", "configured")}), None),
        (rejecting(picks={FLOW_LOG.id: Pick("cloudwatch", "configured")}), ()),
        (rejecting(CLIENT._replace(source="")), None),
        (rejecting(CLIENT._replace(source="<nothing>"), CLIENT._replace(source="-")), None),
    ],
    ids=["nobody", "no REJECT", "a query", "lines", "no addresses", "nonsense"],
)
def test_nobody_is_not_the_same_as_not_told(
    report: Report, told: tuple[Rejected, ...] | None
) -> None:
    """Where no flow log tells who was rejected it is None, and never nobody."""
    assert traffic(world(report=report)).rejected == told


@pytest.mark.parametrize(
    ("changes", "unread"),
    [
        ({"allowed": Allowed("s3")}, "the configuration allows s3 alone"),
        ({"report": Report(picks={FLOW_LOG.id: Pick("", "budget is 0")}, number=1)}, "budget is 0"),
        (
            {"report": Report(sources={"/vpc": SourceReport((FLOW_LOG.id,), None, DENIED)})},
            "AccessDenied",
        ),
    ],
    ids=["not allowed", "no source", "denied"],
)
def test_a_flow_log_that_is_not_read_says_why(changes: dict[str, Any], unread: str) -> None:
    """The reason is the configuration's, the choice of source's, or AWS's."""
    found = traffic(world(**changes))
    assert unread in found.unread[FLOW_LOG.id]
    assert found.read_to is None
    assert not traffic(WORLD).unread


def test_up_to_when_everything_is_read() -> None:
    """Of several sources the one that is furthest behind; None while one has not been read."""
    slow = {
        "/vpc": SourceReport((FLOW_LOG.id,), NOW - 30),
        "fl-0a1 insights": SourceReport((FLOW_LOG.id,), NOW - 300),
        "other": SourceReport(("fl-other",), NOW - 9000),
    }
    assert traffic(world(report=Report(sources=slow, number=1))).read_to == NOW - 300
    unread = {"/vpc": SourceReport((FLOW_LOG.id,), None)}
    assert traffic(world(report=Report(sources=unread, number=1))).read_to is None
    assert site(WORLD).traffic["vpce-0a2"].read_to is None


def test_why_a_collector_is_blind() -> None:
    """What its passes could not see, with the part; one that has not ended its first says so."""
    down = CollectorStatus("dns", SCOPE, "10.1.0.2:53", NOW, 1, None, {"resolver": "is silent"})
    broke = CollectorStatus("changes", SCOPE, "", NOW, 1, None, {"pass": "denied"})
    inventory = CollectorStatus("inventory", SCOPE, "", NOW, 1, None, {"subnets": "denied"})
    far = replace(down, scope=replace(SCOPE, region="us-east-1"))
    found = site(
        replace(
            WORLD,
            collectors=(down, broke, inventory, far),
            waiting=(("flow_logs", SCOPE, ""), ("dns", SCOPE, "10.1.0.3:53")),
        )
    )
    assert found.blind == {
        "dns": "10.1.0.2:53: resolver: is silent; 10.1.0.3:53: its first pass has not ended",
        "changes": "denied",
        "flow_logs": "its first pass has not ended",
    }


def test_clients_and_connections() -> None:
    """Who was accepted, what came of connecting from here, and whether this host may judge."""
    client = Accepted(ip_address("10.1.0.99"), NOW - 60, NOW - 50)
    report = Report(noted=Noted(clients={ENDPOINT.id: (client,)}), number=1)
    assert traffic(world(report=report)).clients == (client,)
    assert site(WORLD).dials == {ENDPOINT.id: DIALS}
    assert facts(replace(WORLD, reachable=frozenset({"vpc-0a1"}))).reachable == {"vpc-0a1"}


CONFIG = """
endpoints:
  - {match: {tags: {team: payments}}, ports: [443, 8443], clients: [10.1.0.0/16]}
  - {match: {id: vpce-0a1}, ports: [9443], private_dns: false}
  - {match: {id: vpce-0a9}, clients: [10.9.0.0/16]}
"""


def configured(text: str = CONFIG) -> tuple[EndpointSettings, ...]:
    return parse(text, "test").endpoints


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, Expected((9443,), (), False)),
        ({"team": "payments"}, Expected((9443,), (ip_network("10.1.0.0/16"),), False)),
    ],
    ids=["one entry", "two entries"],
)
def test_what_is_configured_of_an_endpoint(tags: dict[str, str], expected: Expected) -> None:
    """A later entry that matches overrides an earlier one, field by field."""
    inventory = WORLD.estates[0].inventory
    known: Listing[Endpoint] = Known({ENDPOINT.id: replace(ENDPOINT, tags=tags)}, NOW)
    inventory = replace(inventory, endpoints=known)
    found = site(replace(world(inventory=inventory), configured=configured()))
    assert found.expected == {ENDPOINT.id: expected}


@pytest.mark.parametrize(
    ("entries", "ports"),
    [
        ("{match: {id: vpce-0a1}, ports: [1]}, {match: {tags: {a: [b]}}, ports: [2]}", (2,)),
        ("{match: {tags: {a: [b]}}, ports: [2]}, {match: {id: vpce-0a1}, ports: [1]}", (1,)),
        ("{match: {id: vpce-0a1, tags: {a: [c]}}, ports: [1]}", ()),
        ("{match: {id: vpce-0a1, tags: {a: [b]}}, ports: [1]}", (1,)),
        ("{match: {id: vpce-0a9}, ports: [1]}, {match: {tags: {a: [c]}}, ports: [2]}", ()),
    ],
)
def test_entries_by_id_and_by_tags(entries: str, ports: tuple[int, ...]) -> None:
    """The order of the configuration counts, whatever an entry matches by."""
    found = Configured(configured(f"endpoints: [{entries}]"))
    assert found.expected(replace(ENDPOINT, tags={"a": "b"})).ports == ports


def test_a_later_entry_may_take_back() -> None:
    """An empty list is a field too."""
    text = "endpoints: [{match: {id: vpce-0a1}, ports: [1]}, {match: {id: vpce-0a1}, ports: []}]"
    assert site(replace(WORLD, configured=configured(text))).expected == {}


def test_configured_ids_that_are_nowhere() -> None:
    """Known once everything has been listed; nothing is said while something is unseen."""
    up = CollectorStatus("accounts", SCOPE, "", NOW, 1, NOW)
    whole = replace(WORLD, configured=configured(), collectors=(up,))
    assert unmatched(whole) == ("vpce-0a9",)
    assert unmatched(replace(whole, waiting=(("inventory", SCOPE, ""),))) == ()
    assert unmatched(replace(whole, collectors=(replace(up, problems={"x": "denied"}),))) == ()
    assert unmatched(replace(whole, estates=())) == ()
    blind = replace(WORLD.estates[0].inventory, endpoints=DENIED)
    estate = Estate(SCOPE, blind, attribute.index(blind), (), Report())
    assert unmatched(replace(whole, estates=(*whole.estates, estate))) == ()


def accounts(scope: Scope, **problems: str) -> CollectorStatus:
    return CollectorStatus("accounts", scope, "", NOW, 1.0, None, problems)


NEW = Scope("444455556666", "eu-west-1")
WHOLE = Scope(NEW.account, "")


@pytest.mark.parametrize(
    ("statuses", "waiting", "closed"),
    [
        ((), (), {}),
        ((accounts(WHOLE, regions="denied"),), (), {WHOLE: "denied"}),
        ((accounts(WHOLE),), (), {}),
        ((accounts(Scope(SCOPE.account, ""), regions="denied"),), (), {}),
        ((accounts(Scope("", ""), organization="denied"),), (), {}),
        ((), (("accounts", WHOLE, ""),), {WHOLE: "its first pass has not ended"}),
        ((), (("inventory", NEW, ""),), {NEW: "its first pass has not ended"}),
        ((), (("dns", NEW, ""),), {}),
    ],
    ids=[
        "all is seen",
        "the Regions are denied",
        "an account without Regions",
        "what was known of it stands",
        "the organisation is denied",
        "its Regions are being asked for",
        "it is being listed",
        "its names are being asked for",
    ],
)
def test_what_is_watched_and_was_not_seen(statuses: Any, waiting: Any, closed: Any) -> None:
    """An account of which nothing has been seen is not one that is not watched."""
    world = replace(WORLD, collectors=statuses, waiting=waiting)
    assert facts(world).closed == closed
