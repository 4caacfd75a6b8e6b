"""What the publisher makes of passes: shared endpoints once, nothing of what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address

import pytest
import structlog

from exporter import metrics as m
from exporter.config import parse
from exporter.flowlogs.ingest import Report
from exporter.held import Limits
from exporter.model import Dial, Endpoint, Inventory, Known, Recorded, Scope, Unavailable
from exporter.publisher import Publisher, Snapshot
from tests.aws.cloudtrail import change
from tests.harness import parse_series, select
from tests.worlds import lookup

OWNER, GUEST, OTHER = (
    Scope(account, "eu-west-1") for account in ("444455556666", "111122223333", "222233334444")
)
NOW = 1_700_000_000.0
DENIED: Unavailable[Mapping[str, Endpoint]] = Unavailable(
    "DescribeVpcEndpoints: UnauthorizedOperation", "denied"
)


def publisher(*scopes: Scope) -> Publisher:
    made = Publisher(lambda: NOW, dict, lambda: True)
    for scope in scopes:
        made.watch(scope)
    return made


def listing(scope: Scope, *ids: str, owner: str = OWNER.account) -> Inventory:
    endpoints = {
        i: Endpoint(i, scope, "Interface", "available", "s", "vpc-1", owner=owner) for i in ids
    }
    return Inventory(scope, endpoints=Known(endpoints, NOW))


def shown(made: Publisher, scope: Scope) -> set[str]:
    found = made.inventory(scope)
    assert found is not None
    part = found.endpoints if isinstance(found.endpoints, Known) else found.endpoints.last
    assert part is not None
    return set(part.value)


def test_a_shared_endpoint_is_its_owner_s() -> None:
    """Listed by its owner and by guests, whichever came first, an endpoint appears once."""
    for order in ((OWNER, GUEST, OTHER), (GUEST, OTHER, OWNER)):
        made = publisher(OWNER, GUEST, OTHER)
        for scope in order:
            made.put_inventory(listing(scope, "vpce-1"))
        assert [shown(made, s) for s in (OWNER, GUEST, OTHER)] == [{"vpce-1"}, set(), set()]


def test_an_endpoint_whose_owner_is_not_watched() -> None:
    """It is the first guest's; one that is listed once is whoever's lists it."""
    made = publisher(GUEST, OTHER)
    made.put_inventory(listing(GUEST, "vpce-1"))
    made.put_inventory(listing(OTHER, "vpce-1", "vpce-2"))
    assert (shown(made, GUEST), shown(made, OTHER)) == ({"vpce-1"}, {"vpce-2"})


def test_a_failed_listing_of_the_owner_keeps_its_endpoints() -> None:
    """What the owner last saw is still its own; before it ever saw anything it is the guest's."""
    made = publisher(OWNER, GUEST)
    made.put_inventory(Inventory(OWNER, endpoints=DENIED))
    made.put_inventory(listing(GUEST, "vpce-1"))
    assert shown(made, GUEST) == {"vpce-1"}
    last = listing(OWNER, "vpce-1").endpoints
    assert isinstance(last, Known)
    made.put_inventory(Inventory(OWNER, endpoints=replace(DENIED, last=last)))
    assert (shown(made, OWNER), shown(made, GUEST)) == ({"vpce-1"}, set())


def test_it_does_not_move_to_its_owner() -> None:
    """Until the owner's first pass has ended the guest's listing of it waits."""
    made = publisher(OWNER, GUEST)
    made.put_inventory(listing(GUEST, "vpce-1"))
    assert shown(made, GUEST) == set()
    made.put_inventory(listing(OWNER, "vpce-1"))
    assert (shown(made, OWNER), shown(made, GUEST)) == ({"vpce-1"}, set())


def test_the_same_id_in_another_region_is_another_endpoint() -> None:
    """Only the same Region lists the same endpoint."""
    elsewhere = replace(OWNER, region="us-east-1")
    made = publisher(elsewhere, GUEST)
    made.put_inventory(listing(elsewhere, "vpce-1"))
    made.put_inventory(listing(GUEST, "vpce-1"))
    assert shown(made, GUEST) == shown(made, elsewhere) == {"vpce-1"}


def test_nothing_is_left_of_what_is_watched_no_more() -> None:
    """A forgotten scope is gone, and a late pass does not bring it back."""
    made = publisher(OWNER, GUEST)
    for scope in (OWNER, GUEST):
        made.expect(("inventory", scope, ""), ("dns", scope, "r"))
        made.put_inventory(listing(scope, f"vpce-{scope.account}", owner=scope.account))
        made.put_lookups(scope, "r", (replace(lookup("a", None, True), as_of=NOW),))
        made.put_report(scope, Report())
        made.put_status(("inventory", scope, ""), 0.1, {})
        made.put_status(("dns", scope, "r"), 0.1, {})
    made.forget(GUEST)
    made.put_inventory(listing(GUEST, "vpce-late"))
    made.put_lookups(GUEST, "r", ())
    made.put_report(GUEST, Report())
    snapshot = publish(made)
    assert [estate.scope for estate in snapshot.world.estates] == [OWNER]
    assert {s.scope for s in snapshot.world.collectors if s.collector != "accounts"} == {OWNER}
    assert snapshot.ready


def test_a_resolver_that_is_asked_no_more() -> None:
    """What it answered is dropped, what the others answered stays."""
    made = publisher(OWNER)
    made.put_inventory(listing(OWNER, "vpce-0a1"))
    for label in ("old", "new"):
        made.put_lookups(OWNER, label, (replace(lookup("a", None, True), resolver=label),))
        made.put_status(("dns", OWNER, label), 0.1, {})
    made.keep_resolvers({"new"})
    snapshot = publish(made)
    assert [x.resolver for x in snapshot.world.estates[0].lookups] == ["new"]
    assert [s.part for s in snapshot.world.collectors if s.collector == "dns"] == ["new"]


def test_connections_age_and_end() -> None:
    """Old ones are not judged; none are left when it is no longer tried, or watched."""
    made = publisher(OWNER, GUEST)
    made.limit(Limits(states=900.0, reachable=frozenset({"vpc-1"})))
    new, old = (Dial("vpce-1", ip_address("10.1.0.10"), 443, NOW - s, 0.1) for s in (800, 1000))
    for scope in (OWNER, GUEST):
        made.put_inventory(listing(scope, f"vpce-{scope.account}", owner=scope.account))
        made.put_dials(scope, (new, old))
        made.put_status(("connectivity", scope, ""), 0.1, {})
    world = publish(made).world
    assert [estate.dials for estate in world.estates] == [(new,), (new,)]
    assert world.reachable == {"vpc-1"}
    made.drop_dials(OWNER)
    made.forget(GUEST)
    made.put_dials(GUEST, (new,))
    world = publish(made).world
    assert [estate.dials for estate in world.estates] == [()]
    assert "connectivity" not in {s.collector for s in world.collectors}


def test_ready_once_is_ready() -> None:
    """An account that is found later does not stop the scrapes of the others."""
    made = publisher(OWNER)
    assert not publish(made).ready
    made.expect(("inventory", OWNER, ""))
    assert publish(made).waiting_for
    made.put_status(("inventory", OWNER, ""), 0.1, {})
    assert publish(made).ready
    made.expect(("inventory", GUEST, ""))
    late = publish(made)
    assert late.ready
    assert late.waiting_for == (f"inventory {GUEST.account} {GUEST.region}",)


def test_configuration_may_be_older_than_states() -> None:
    """What is asked for less often is judged for longer; both end as unknown."""
    made = publisher(OWNER)
    old = listing(OWNER, "vpce-1")
    made.put_inventory(
        replace(old, security_groups=Known({}, NOW - 1000), endpoints=Known({}, NOW - 1000))
    )
    made.limit(Limits(states=900, configuration=1500))
    found = made.inventory(OWNER)
    assert found is not None
    assert isinstance(found.endpoints, Unavailable)
    assert isinstance(found.security_groups, Known)


def test_changes_touch_endpoints_wherever_they_were_made() -> None:
    """An event in another account's trail and Region is shown where the endpoint is, once."""
    made = publisher(OWNER, GUEST)
    made.put_inventory(listing(OWNER, "vpce-1"))
    made.put_inventory(listing(GUEST, "vpce-2", owner=GUEST.account))
    own = change("ModifyVpcEndpoint", "vpce-1", NOW - 60, "own", scope=OWNER)
    foreign = change("CreateRoute", "vpc-1", NOW - 30, "foreign", scope=GUEST)
    denied = change("ModifyVpcEndpoint", "vpce-1", NOW - 10, "no", scope=OWNER, outcome="denied")
    made.put_changes(OWNER, Recorded((denied, own)))
    made.put_changes(GUEST, Recorded((foreign,)))
    made.put_changes(OTHER, Recorded((own,)))  # nobody watches it
    snapshot = publish(made)
    touched = {e.scope: e.touched for e in snapshot.world.estates}
    assert touched[OWNER] == {"vpce-1": (denied, foreign, own)}
    assert touched[GUEST] == {"vpce-2": (foreign,)}
    series = parse_series(snapshot.exposition.text.plain.decode())
    last = select(series, m.LAST_CHANGE.name)
    assert set(last.values()) == {NOW - 30}


def test_what_a_collector_found_that_is_switched_off() -> None:
    """Its findings go at once, and a late pass brings nothing back."""
    made = publisher(OWNER)
    made.put_inventory(listing(OWNER, "vpce-1"))

    def put() -> None:
        made.put_changes(OWNER, Recorded((change(touched="vpce-1", scope=OWNER),)))
        made.put_report(OWNER, Report(number=1))
        for collector in ("changes", "flow_logs"):
            made.put_status((collector, OWNER, ""), 0.1, {})

    put()
    assert publish(made).world.estates[0].touched
    made.limit(Limits(off=frozenset(["changes", "flow_logs"])))
    put()
    world = publish(made).world
    assert world.off == {"changes", "flow_logs"}
    assert not world.estates[0].touched
    assert not world.estates[0].changes
    assert world.estates[0].report.number == 0
    assert {status.collector for status in world.collectors} == {"accounts"}


@pytest.mark.parametrize("labels", [(), ("team", "Cost Center")])
def test_tags_as_labels(labels: tuple[str, ...]) -> None:
    """Configured tags are labels of _info; an endpoint without one has it empty."""
    made = publisher(OWNER)
    tagged = listing(OWNER, "vpce-1")
    assert isinstance(tagged.endpoints, Known)
    endpoint = replace(tagged.endpoints.value["vpce-1"], tags={"team": "payments", "x": "y"})
    made.put_inventory(replace(tagged, endpoints=Known({"vpce-1": endpoint}, NOW)))
    made.limit(Limits(tag_labels=labels))
    series = parse_series(publish(made).exposition.text.plain.decode())
    (found,) = select(series, m.ENDPOINT_INFO.name)
    tags = {k: v for k, v in dict(found).items() if k.startswith("tag_")}
    assert tags == ({"tag_team": "payments", "tag_Cost_Center": ""} if labels else {})


def publish(made: Publisher) -> Snapshot:
    """Return what the publisher serves once it has published what it has now."""

    async def main() -> Snapshot:
        before = made.snapshot
        running = asyncio.create_task(made.run())
        made.put_status(("accounts", Scope("", ""), ""), 0.1, {})
        await _until(lambda: made.snapshot is not before)
        running.cancel()
        return made.snapshot

    return asyncio.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the publisher has no event for a test to wait on
            await asyncio.sleep(0.01)


def test_a_configured_endpoint_that_is_not_there() -> None:
    """It is warned of once, after everything has been listed."""
    made = publisher(OWNER)
    made.put_inventory(listing(OWNER, "vpce-0a1"))
    entries = parse(
        "endpoints: [{match: {id: vpce-0a1}, ports: [443]}, {match: {id: vpce-0a2}, ports: [443]}]",
        "test",
    ).endpoints
    made.limit(Limits(endpoints=entries))
    with structlog.testing.capture_logs() as logs:
        publish(made)
        made.touch()
        publish(made)
    assert [entry["endpoint_id"] for entry in logs] == ["vpce-0a2"]


def test_what_is_judged_is_published() -> None:
    """A snapshot has a diagnosis of each endpoint, and its metrics say the same."""
    made = publisher(OWNER)
    made.put_inventory(listing(OWNER, "vpce-0a1"))
    snapshot = publish(made)
    assert [(d.scope, d.id) for d in snapshot.diagnoses] == [(OWNER, "vpce-0a1")]
    series = parse_series(snapshot.exposition.text.plain.decode())
    counts = select(series, m.ENDPOINT_CHECKS.name, endpoint_id="vpce-0a1")
    judged = [f for f in snapshot.diagnoses[0].checks if f.status != "not_applicable"]
    assert sum(counts.values()) == len(judged)
