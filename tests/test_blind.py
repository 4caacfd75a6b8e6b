"""Never green when blind: everything that may be denied, in turn, and what is judged then.

Facts of the whole simulated organisation are taken once, with its traffic. Then each operation of
the inventory is denied, and both what a first pass sees and what a later one does is judged: the
later one knows what was there before, too old to be judged.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import pytest

from exporter import analysis, runtime
from exporter.access.operations import ENDPOINT_CHECKS, OPERATIONS, SERVICE_CHECKS
from exporter.aws.session import Aws
from exporter.config import Config, parse
from exporter.connectivity import calls, listeners
from exporter.dns import expected_addresses
from exporter.facts import facts
from exporter.flowlogs import attribute
from exporter.model import (
    Diagnosis,
    Dial,
    Inventory,
    Lookup,
    Scope,
    Unavailable,
    last_known,
    ports_of,
)
from exporter.simulator.faults import Fault
from exporter.simulator.organisation import CONSUMER, PROVIDER
from exporter.world import CollectorStatus, World
from tests.aws.lists import REGION, collect, reaching
from tests.harness import SimulatorProcess, simulator, until

Inventories = Mapping[Scope, Inventory]
Judged = Mapping[str, Diagnosis]
TABLE = {o.name: frozenset(o.checks) for o in OPERATIONS}
INVENTORY = [o.name for o in OPERATIONS if o.collector == "inventory"]
# What the table names, and no scenario needs: all that it is asked for is in doubt already.
UNSHOWN = {
    # Whoever is rejected by a load balancer is known from before.
    ("DescribeFlowLogs", "nlb_security_group"),
    ("DescribeNetworkInterfaces", "nlb_security_group"),
    # Zones matter where a target lets in some of the load balancer's addresses.
    ("DescribeLoadBalancerAttributes", "target_security_group"),
    ("DescribeTargetGroupAttributes", "target_security_group"),
}
# Clients come to 443, the security group lets them in, the load balancer listens at 8443. Without
# the clients' port it is the group that is closed to everybody: broken it is in any case.
MOVED = {("to-wrong-listener", "security_group")}
# Scenarios that their traffic alone shows to be faults.
BY_TRAFFIC = ("client-egress-closed", "sg-other-group", "nacl-inbound", "wrong-listener")


@dataclass
class Organisation:
    """The simulated organisation, what is known of it, and what is judged by that."""

    aws: SimulatorProcess
    access: Aws
    config: Config
    world: World
    listed: Inventories
    well: Judged

    @contextmanager
    def denying(self, operation: str, account: str = "") -> Iterator[None]:
        """Have AWS deny an operation, in all accounts or in one."""
        self.aws.control("faults", [asdict(Fault("denied", "", operation, account))])
        try:
            yield
        finally:
            self.aws.control("faults", [])


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organisation]:
    with (
        pytest.MonkeyPatch.context() as patch,
        simulator("--world", "organisation", "--speed", "300") as aws,
    ):
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**aws.environment, "AWS_DEFAULT_REGION": REGION}.items():
            patch.setenv(name, value)
        began = aws.about["scenarios"]["sg-port-missing"]["id"]
        until(lambda: began in aws.control("truth")["totals"], 60)
        time.sleep(5.0)  # till all log groups have told, as in `diagnose --demo`
        aws.control("clock", {"running": False})
        until(lambda: aws.control("truth")["pending"] == 0, 60)
        # Who changed what is evidence, and judges nothing.
        written = aws.organised(tmp_path_factory.mktemp("blind") / "config.yaml").read_text()
        written = re.sub(r"changes: \{.*\}", "changes: {enabled: false}", written)
        config = parse(written, "test")
        world = once(config)
        access = reaching(*(estate.scope for estate in world.estates))
        listed = everywhere(access, (estate.scope for estate in world.estates))
        well = judged(seeing(world, listed))
        yield Organisation(aws, access, config, world, listed, well)


def once(config: Config) -> World:
    """Return what one pass of everything sees."""
    snapshot = asyncio.run(runtime.once(config, 60, metadata=False))
    assert snapshot.ready
    return snapshot.world


def everywhere(aws: Aws, scopes: Iterable[Scope], before: Inventories | None = None) -> Inventories:
    """Return a pass of the inventory of all scopes; with what was there before, if that is told."""
    wanted = list(scopes)

    def one(scope: Scope) -> Inventory:
        return collect(aws, scope, before[scope] if before else None)

    with ThreadPoolExecutor(3) as pool:
        found = dict(zip(wanted, pool.map(one, wanted), strict=True))
    return {scope: _own(scope, found) for scope in wanted}


def _own(scope: Scope, found: Inventories) -> Inventory:
    """Return an inventory without what others share with it: an endpoint is its owner's."""
    shared = {
        e.id
        for e in (last_known(found[scope].endpoints) or {}).values()
        if e.owner != scope.account and Scope(e.owner, scope.region) in found
    }
    return found[scope].without(frozenset(shared))


def seeing(world: World, listed: Inventories) -> World:
    """Return the World with these inventories, and what the other collectors make of them.

    This host is in all VPCs, and every address accepts its connections.
    """
    vpcs = frozenset(e.vpc_id for estate in world.estates for e in estate.endpoints())
    ports = listeners(listed.values())
    estates, statuses = [], {(s.collector, s.scope, s.part): s for s in world.collectors}
    for estate in world.estates:
        seen = listed[estate.scope]
        index = attribute.index(seen)
        found = calls(
            seen, vpcs, lambda e: ports_of(e.service_name, (), ports.get(e.service_name, ())), ()
        )
        dials = (Dial(c.endpoint_id, c.address, c.port, world.as_of, 0.01) for c in found)
        lookups = (x for lookup in estate.lookups if (x := _asked(lookup, seen)))
        estates.append(
            replace(estate, inventory=seen, index=index, lookups=tuple(lookups), dials=tuple(dials))
        )
        for collector, *needs in (
            ("flow_logs", "endpoints", "interfaces", "flow_logs"),
            ("connectivity", "endpoints", "interfaces"),
        ):
            problems = {
                name: part.reason
                for name, part in seen.listings()
                if name in needs and isinstance(part, Unavailable)
            }
            if problems:
                key = (collector, estate.scope, "")
                statuses[key] = CollectorStatus(*key, world.as_of, 0.1, None, problems)
    return replace(
        world,
        estates=tuple(estates),
        collectors=tuple(statuses.values()),
        reachable=vpcs,
        off=world.off - {"connectivity"},
    )


def _asked(lookup: Lookup, seen: Inventory) -> Lookup | None:
    """Return what a resolver answers, held against what is known of the endpoint."""
    endpoint = (last_known(seen.endpoints) or {}).get(lookup.endpoint_id)
    if endpoint is None:
        return None
    expected = expected_addresses(endpoint, lookup.name, seen.interfaces)
    if expected is None and lookup.expected is not None:
        return replace(lookup, expected=None, matches=None, problem=None)
    return lookup


def judged(world: World) -> Judged:
    """Return the diagnoses, by id."""
    return {diagnosis.id: diagnosis for diagnosis in analysis.diagnose(facts(world))}


def statuses(diagnosis: Diagnosis) -> dict[str, list[str]]:
    """Return the statuses of each check; of a provider's check there may be one more."""
    found: dict[str, list[str]] = {}
    for check in diagnosis.checks:
        found.setdefault(check.check, []).append(check.status)
    return found


def blinded(well: Judged, now: Judged, also: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the checks that became unknown, or whose endpoint or service is not known at all.

    Fails where one became anything else, but for what `also` tells. A provider that cannot be seen
    has no checks on its consumer's endpoint but the one that says so.
    """
    found: set[str] = set()
    assert now.keys() <= well.keys()
    for one, before in well.items():
        if one not in now:
            of = ENDPOINT_CHECKS if before.kind == "endpoint" else SERVICE_CHECKS
            found |= set(of)
            continue
        after = now[one]
        old, new = statuses(before), statuses(after)
        changed = {check for check in old | new if old.get(check) != new.get(check)}
        hidden = before.kind == "endpoint" and new.get("service_state") == ["unknown"]
        for check in changed:
            if check not in new:
                assert hidden, (before.name, check, after)
            elif (before.name, check) in MOVED and new[check] == ["fail"]:
                assert before.verdict == after.verdict == "fail"
            elif (also or {}).get(check) not in new[check]:
                assert "unknown" in new[check], (before.name, check, old.get(check), after)
                found.add(check)
        if before.verdict == "pass" and changed:
            assert after.verdict == "unknown", (before, after)
        if after.verdict == "pass":
            assert before.verdict == "pass", (before, after)
        if after.verdict == "fail":
            assert before.verdict == "fail", (before, after)
    return frozenset(found)


def test_nothing_is_denied(organisation: Organisation) -> None:
    """What is compared with is worth it: every check passes somewhere, and all scenarios count."""
    well = organisation.well
    assert well.keys() == {s["id"] for s in organisation.aws.about["scenarios"].values()}
    passed = {c.check for d in well.values() for c in d.checks if c.status == "pass"}
    # The only load balancer whose groups are asked is closed on purpose.
    assert passed == {*ENDPOINT_CHECKS, *SERVICE_CHECKS} - {"nlb_security_group"}
    failing = {d.name for d in well.values() if d.verdict == "fail"}
    assert failing >= set(BY_TRAFFIC)
    again = judged(seeing(organisation.world, organisation.listed))
    assert blinded(well, again) == set()


@pytest.mark.parametrize("operation", INVENTORY)
def test_an_operation_is_denied(organisation: Organisation, operation: str) -> None:
    """Nothing turns green, and exactly the checks that the table of operations names are blind."""
    blind: set[str] = set()
    with organisation.denying(operation):
        for before in (None, organisation.listed):
            seen = everywhere(organisation.access, organisation.listed, before)
            now = judged(seeing(organisation.world, seen))
            blind |= blinded(organisation.well, now)
    unshown = {check for name, check in UNSHOWN if name == operation}
    assert blind | unshown == TABLE[operation]
    assert not blind & unshown


@pytest.mark.parametrize("operation", ["FilterLogEvents", "ListObjectsV2", "GetObject"])
def test_flow_logs_are_not_to_be_read(organisation: Organisation, operation: str) -> None:
    """Who comes, and who is rejected, is unknown; that a flow log is not read is a warning."""
    with organisation.denying(operation):
        world = once(organisation.config)
    kept = {estate.scope: estate.inventory for estate in world.estates}
    now = judged(seeing(world, kept))
    blind = blinded(organisation.well, now, {"flow_log_coverage": "warn"})
    assert blind <= TABLE[operation]
    assert "flow_rejects" in blind
    warned = [
        c.summary
        for d in now.values()
        for c in d.checks
        if c.check == "flow_log_coverage" and c.status == "warn"
    ]
    assert any(operation in summary for summary in warned)
    if operation == "FilterLogEvents":
        assert blind == TABLE[operation] - {"flow_log_coverage"}


@pytest.mark.parametrize("account", [CONSUMER, PROVIDER])
def test_a_role_is_not_to_be_assumed(organisation: Organisation, account: str) -> None:
    """Of that account nothing is known, and its consumers and providers are not called well."""
    with organisation.denying("AssumeRole", account):
        world = once(organisation.config)
    kept = {estate.scope: estate.inventory for estate in world.estates}
    now = judged(seeing(world, kept))
    assert blinded(organisation.well, now)
    assert not {d.scope.account for d in now.values()} & {account}
    to_provider = [d for d in organisation.well.values() if d.name == "to-all-unhealthy"]
    if account == PROVIDER:
        assert now[to_provider[0].id].verdict == "unknown"


@pytest.mark.parametrize(
    ("collector", "needing"),
    [
        ("dns", {"dns_resolution"}),
        ("connectivity", {"connectivity"}),
        ("flow_logs", {"flow_rejects", "flow_log_coverage"}),
        ("changes", set[str]()),
    ],
)
def test_a_collector_is_switched_off(
    organisation: Organisation, collector: str, needing: set[str]
) -> None:
    """What needs it is not applicable and names it; nothing becomes unknown for that."""
    world = seeing(organisation.world, organisation.listed)
    now = judged(replace(world, off=world.off | {collector}))
    for one, before in organisation.well.items():
        old = {c.check: c for c in before.checks}
        for check in now[one].checks:
            if check.check not in needing:
                continue
            assert check.status == "not_applicable"
            if old[check.check].status != "not_applicable":
                assert f"collector {collector} is switched off" in check.summary
    assert {c.check for d in now.values() for c in d.checks if c.check in needing} == needing
