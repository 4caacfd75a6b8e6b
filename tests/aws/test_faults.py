"""Every operation with every fault: its part is Unavailable, all others current; it recovers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from exporter.aws.accounts import Accounts
from exporter.aws.session import Aws
from exporter.changes import Following
from exporter.config import Discovery, parse
from exporter.flowlogs import attribute
from exporter.flowlogs.ingest import Ingest
from exporter.flowlogs.sourcing import Settings
from exporter.model import Inventory, Known, Scope, Unavailable
from exporter.publisher import Publisher
from exporter.schedule import Threads
from exporter.simulator.faults import KINDS, Fault
from exporter.simulator.organisation import CONSUMER
from exporter.store import Store
from exporter.trail import Trail
from tests.aws.lists import (
    CONSUMING,
    IMPATIENT,
    PATIENT,
    PROVIDING,
    REGION,
    collect,
    reaching,
)
from tests.aws.test_accounts import finding
from tests.harness import SimulatorProcess, simulator

# The part of the inventory that each operation fills, and in which account something is.
PARTS = {
    "DescribeVpcEndpoints": ("endpoints", CONSUMING),
    "DescribeVpcEndpointServiceConfigurations": ("services", PROVIDING),
    "DescribeVpcEndpointConnections": ("connections", PROVIDING),
    "DescribeVpcEndpointServicePermissions": ("service_permissions", PROVIDING),
    "DescribeVpcEndpointServices": ("service_details", CONSUMING),
    "DescribeVpcEndpointAssociations": ("endpoint_associations", CONSUMING),
    "DescribeNetworkInterfaces": ("interfaces", CONSUMING),
    "DescribeVpcs": ("vpcs", CONSUMING),
    "DescribeVpcAttribute": ("vpc_attributes", CONSUMING),
    "DescribeSubnets": ("subnets", CONSUMING),
    "DescribeSecurityGroups": ("security_groups", CONSUMING),
    "DescribeSecurityGroupRules": ("security_group_rules", CONSUMING),
    "DescribeNetworkAcls": ("network_acls", CONSUMING),
    "DescribeRouteTables": ("route_tables", CONSUMING),
    "DescribeManagedPrefixLists": ("prefix_lists", CONSUMING),
    "GetManagedPrefixListEntries": ("prefix_list_entries", CONSUMING),
    "DescribeFlowLogs": ("flow_logs", CONSUMING),
    "DescribeLoadBalancers": ("load_balancers", PROVIDING),
    "DescribeListeners": ("listeners", PROVIDING),
    "DescribeLoadBalancerAttributes": ("load_balancer_attributes", PROVIDING),
    "DescribeTargetGroups": ("target_groups", PROVIDING),
    "DescribeTargetGroupAttributes": ("target_group_attributes", PROVIDING),
    "DescribeTargetHealth": ("target_health", PROVIDING),
}
# So few endpoints and services that a pass is quick, and every operation still has something to do.
FEW = {
    CONSUMING: Discovery(types=("Gateway", "ServiceNetwork")),
    PROVIDING: Discovery(types=("GatewayLoadBalancer",)),
}
OUTCOMES = {"throttled": "throttled", "denied": "denied", "expired": "denied"}


class Estate:
    """The organisation, as it was before anything went wrong. Time here is a count of passes.

    The simulator is a process of its own: it answers on the other core.
    """

    def __init__(self, simulator: SimulatorProcess) -> None:
        self._simulator = simulator
        self.aws = reaching(CONSUMING, PROVIDING)
        self.impatient = reaching(CONSUMING, PROVIDING, config=IMPATIENT)
        self._time = count(1)
        self.seen = {scope: self.collect(scope) for scope in (CONSUMING, PROVIDING)}

    def collect(
        self,
        scope: Scope,
        previous: Inventory | None = None,
        age: float = 0.0,
        aws: Aws | None = None,
    ) -> Inventory:
        now = float(next(self._time))
        discovery = FEW[scope]
        return collect(aws or self.aws, scope, previous, age, discovery, clock=lambda: now)

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Let something go wrong for as long as the context lasts."""
        self._simulator.control("faults", [asdict(fault)])
        try:
            yield
        finally:
            self._simulator.control("faults", [])


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    with (
        pytest.MonkeyPatch.context() as patch,
        simulator("--world", "organisation", "--no-clock") as running,
    ):
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**running.environment, "AWS_DEFAULT_REGION": REGION}.items():
            patch.setenv(name, value)
        yield Estate(running)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", PARTS)
def test_an_operation_fails(estate: Estate, operation: str, kind: str) -> None:
    """Only what the operation tells is lost, with what was seen before; an empty page is none."""
    name, scope = PARTS[operation]
    before = estate.seen[scope]
    # One call hangs at most: the others of its kind follow in time, as the next intervals would.
    times = 1 if kind == "timeout" else None
    aws = estate.impatient if kind == "timeout" else estate.aws
    with estate.failing(Fault(kind, operation=operation, times=times)):
        found = estate.collect(scope, before, aws=aws)
    if kind == "empty_page":
        assert found.problems() == {}
        assert values(found) == values(before)
        return
    failed = {part for part, _, _ in found.unavailable()}
    assert failed == {name}
    for _, of, part in found.unavailable():
        assert part.outcome == OUTCOMES.get(kind, "error"), part
        held = getattr(before, name)
        assert part.last == (held[of] if of else held)
    now = max(part.as_of for _, part in found.listings() if isinstance(part, Known))
    for other, listing in found.listings():
        if other != name:
            assert isinstance(listing, Known)
            assert listing.as_of == now, other
    # Configuration that was seen is not due: what failed is asked for again all the same.
    recovered = estate.collect(scope, found, age=1e9)
    assert recovered.problems() == {}
    assert values(recovered) == values(before)


def values(inventory: Inventory) -> dict[str, object]:
    """Return everything that an inventory knows, without when it was seen."""
    listings = {name: part.value for name, part in inventory.listings() if isinstance(part, Known)}
    details = {
        (name, of): part.value
        for name, parts in inventory.details()
        for of, part in parts.items()
        if isinstance(part, Known)
    }
    return {**listings, **details}  # type: ignore[dict-item]


FINDING = {
    "GetCallerIdentity": set[str](),
    "ListAccounts": set[str](),
    "DescribeRegions": set[str](),
    "AssumeRole": {CONSUMER},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", FINDING)
def test_finding_accounts_fails(estate: Estate, operation: str, kind: str) -> None:
    """What is found at first needs the call; what was found before stands while it fails."""
    config = parse("organization: {role_name: privatelink-exporter, regions: all}", "test")
    aws = Aws(config=IMPATIENT if kind == "timeout" else PATIENT)
    accounts = Accounts(aws, lambda: 0.0, config, 0.0)
    account = CONSUMER if operation == "AssumeRole" else ""
    fault = Fault(kind, operation=operation, account=account)
    with estate.failing(fault):
        blind = finding(accounts)
    whole = finding(accounts)
    assert len(whole.scopes) == 6
    assert whole.problems == {}
    with estate.failing(fault):
        again = finding(accounts)
    assert again.scopes == whole.scopes
    if kind == "empty_page":
        assert blind == whole
    else:
        assert blind.problems
        missing = {scope.account for scope in whole.scopes} - {s.account for s in blind.scopes}
        assert missing == (FINDING[operation] or {scope.account for scope in whole.scopes})


def test_every_operation_has_its_line(estate: Estate) -> None:
    """A call that this table does not know would not be tested."""
    asked = {key.operation for key in estate.aws.requests() if key.service in ("ec2", "elbv2")}
    assert asked == set(PARTS)


def test_an_unavailable_part_is_never_empty(estate: Estate) -> None:
    """With everything failing from the start no part is an empty listing."""
    for kind in ("denied", "malformed"):
        with estate.failing(Fault(kind)):
            found = estate.collect(CONSUMING)
        assert all(isinstance(part, Unavailable) for _, part in found.listings())


@pytest.mark.parametrize("kind", KINDS)
def test_reading_flow_logs_fails(estate: Estate, tmp_path: Path, kind: str) -> None:
    """A log group that cannot be read says why and counts nothing; the next pass reads it."""
    index = attribute.index(estate.seen[CONSUMING])
    assert index
    store = Store(tmp_path)
    try:
        # Index and records have one clock: that of the passes.
        ingest = Ingest(CONSUMING, store, lambda: 1.0, Settings(1.0, 60.0, 60.0))
        logs = (estate.impatient if kind == "timeout" else estate.aws).client(CONSUMING, "logs")
        with estate.failing(Fault(kind, "logs", times=1)):
            failing = ingest.run({"logs": logs}.__getitem__, index)
        failed = {name for name, group in failing.sources.items() if group.problem}
        assert len(failing.sources) > 1
        assert len(failed) == (kind != "empty_page")
        assert all(failing.sources[name].read_to is None for name in failed)
        assert set(failing.problems()) == failed
        whole = ingest.run({"logs": logs}.__getitem__, index)
        assert whole.problems() == {}
        assert all(group.read_to is not None for group in whole.sources.values())
    finally:
        store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_reading_changes_fails(estate: Estate, kind: str) -> None:
    """What CloudTrail does not tell now is said, and read at the next pass; nothing is lost."""

    def trail_after(failing: bool) -> tuple[Trail, list[Mapping[str, str]]]:
        now = time.time()
        trail = Trail(CONSUMING, now)
        publisher = Publisher(lambda: now, dict, lambda: True)
        aws = estate.impatient if kind == "timeout" else estate.aws

        async def main() -> list[Mapping[str, str]]:
            client = partial(aws.client, CONSUMING)
            following = Following(trail, client, Threads(), publisher, lambda: now, 10.0, 0.0)
            problems = []
            if failing:
                with estate.failing(Fault(kind, operation="LookupEvents", times=1)):
                    problems.append(await following.read())
            return [*problems, await following.read()]

        return trail, asyncio.run(main())

    whole, _ = trail_after(False)
    assert len(whole.recorded().changes) > 5
    trail, (blind, healthy) = trail_after(True)
    assert bool(blind) == (kind != "empty_page")
    assert healthy == {}
    assert trail.recorded().problem is None
    assert trail.recorded().changes == whole.recorded().changes
