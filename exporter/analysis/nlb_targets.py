"""Are there healthy targets, in each zone that connections come in by?

A zone whose load balancer has no healthy target of its own, cross-zone off, is left out of DNS.
https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.analysis.balancer_state import wrong_state
from exporter.analysis.behind import CROSS_ZONE
from exporter.analysis.case import ServiceCase
from exporter.analysis.commands import at_provider, aws
from exporter.analysis.consumers import asked, together, zone_ids
from exporter.analysis.judged import (
    Judged,
    Unseen,
    failed,
    need,
    not_applicable,
    passed,
    unknown,
    warned,
)
from exporter.analysis.phrases import some
from exporter.model import Listener, LoadBalancer, Status, Target, TargetGroup
from exporter.model.zones import UNKNOWN, in_every_zone

_MOST = 20


@dataclass(frozen=True, slots=True)
class _Zone:
    """What of a target group answers in one zone of a load balancer."""

    balancer: LoadBalancer
    group: TargetGroup
    zone: str
    status: Status
    # healthy, initial, unhealthy, none, unknown: the best that there is.
    state: str
    targets: tuple[Target, ...]
    cross_zone: bool


@dataclass(frozen=True, slots=True)
class _Way:
    """A listener and the zones in which it is asked; `must` where it is configured to be used."""

    listener: Listener
    zones: tuple[_Zone, ...]
    must: bool = False

    @property
    def status(self) -> Status:
        """Of several groups one that answers keeps the listener alive."""
        groups: dict[str, list[Status]] = {}
        for zone in self.zones:
            groups.setdefault(zone.group.id, []).append(zone.status)
        return together(together(statuses) for statuses in groups.values())


def judge(case: ServiceCase) -> Judged:
    """Judge target health; of a consumer only in the zones of its interfaces."""
    behind = case.around.behind
    balancers = behind.balancers(case.service)
    listeners = {b: behind.listeners(b) for b in balancers}
    if case.type == "GatewayLoadBalancer" and not any(listeners.values()):
        names = some(b.name for b in balancers) if balancers else case.service.id
        return failed(
            f"The load balancer {names} forwards to no target group.",
            [*(b.id for b in balancers), case.service.id],
            [f"DescribeListeners: none of {b.name}" for b in balancers],
        )
    # What a Gateway Load Balancer lacks no check of listeners says.
    state = wrong_state(case, balancers) if case.type == "GatewayLoadBalancer" else None
    if state is not None and state.status == "fail":
        return state
    found = _targets(case)
    return state if state is not None and found.status == "pass" else found


def _targets(case: ServiceCase) -> Judged:
    key = ("targets", case.service.id)
    known = case.around.memo.get(key)
    if known is None:
        known = case.around.memo[key] = tuple(_ways(case))
    assert isinstance(known, tuple)
    ways: tuple[_Way, ...] = known
    if not ways:
        return not_applicable("No listener forwards to a target group: no target is asked.")
    if all(way.status == "pass" for way in ways):
        return _healthy(case, ways)
    # Whose ports and zones these are matters only where something is wrong.
    ways = tuple(_concerning(case, ways))
    if not ways:
        return not_applicable("The endpoint is in none of the load balancer's zones.")
    return _judged(case, ways)


def _ways(case: ServiceCase) -> Iterator[_Way]:
    behind = case.around.behind
    for balancer in behind.balancers(case.service):
        zones = case.around.zones.of_load_balancer(balancer)
        for listener in behind.listeners(balancer):
            found = tuple(
                zone
                for group in behind.groups(listener)
                for zone in _zones(case, balancer, group, zones)
            )
            if found:
                yield _Way(listener, found)


def _concerning(case: ServiceCase, ways: Iterable[_Way]) -> Iterator[_Way]:
    """Yield what concerns the consumer: by the ports that it comes to and its zones."""
    wanted = asked(case, list(dict.fromkeys(way.listener for way in ways)))
    zones = zone_ids(case)
    for way in ways:
        # A zone that has no id here is asked whoever comes.
        mine = tuple(z for z in way.zones if zones is None or z.zone in zones or z.zone == UNKNOWN)
        if way.listener in wanted and mine:
            yield _Way(way.listener, mine, wanted[way.listener])


def _zones(
    case: ServiceCase, balancer: LoadBalancer, group: TargetGroup, zones: Sequence[str]
) -> Iterator[_Zone]:
    """Yield what answers in each zone; raises Unseen where cross-zone matters and is not known."""
    targets = case.around.behind.targets(group)
    whole = _state(targets)
    by_zone: dict[str, list[Target]] = {}
    for target in targets:
        every = in_every_zone(target, group)
        at = "all" if every else case.around.zones.of_target(target, group)
        by_zone.setdefault(at, []).append(target)
    states = {}
    if UNKNOWN in zones and not case.around.behind.cross_zone(balancer, group):
        need(case.site.inventory.subnets, "subnets")
        raise Unseen(f"zones of load balancer {balancer.name}: its subnets were not listed")
    for zone in zones:
        own = (*by_zone.get(zone, ()), *by_zone.get("all", ()))
        state = _state(own)
        if state != "healthy" and _state(by_zone.get(UNKNOWN, ())) in ("healthy", "initial"):
            need(case.site.inventory.interfaces, "interfaces")
            need(case.site.inventory.subnets, "subnets")
            state = "unknown"  # it may be in this zone
        states[zone] = state, own
    # Where every zone fares as the whole does, which targets a zone asks changes nothing.
    cross = not all(state == whole for state, _ in states.values()) and (
        case.around.behind.cross_zone(balancer, group)
    )
    for zone, (state, own) in states.items():
        said, seen = (whole, targets) if cross else (state, own)
        yield _Zone(balancer, group, zone, _STATUS[said], said, tuple(seen), cross)


_STATUS: dict[str, Status] = {
    "healthy": "pass",
    "initial": "warn",
    "unhealthy": "fail",
    "none": "fail",
    "unknown": "unknown",
}
_BAD = frozenset({"unhealthy", "unhealthy.draining", "unused", "draining"})


def _state(targets: Sequence[Target]) -> str:
    """Return the best state of targets; unknown where AWS cannot say, or in a word not known."""
    states = {target.state for target in targets}
    if not states:
        return "none"
    best = next((s for s in ("healthy", "initial") if s in states), None)
    return best or ("unhealthy" if states <= _BAD else "unknown")


def _healthy(case: ServiceCase, ways: Sequence[_Way]) -> Judged:
    zones = [zone for way in ways for zone in way.zones]
    where = some(dict.fromkeys(zone.zone for zone in zones))
    groups = dict.fromkeys(zone.group for zone in zones)
    return passed(
        f"There are healthy targets in {where}.",
        [group.id for group in groups],
        [
            f"DescribeTargetHealth: {sum(t.state == 'healthy' for t in targets)} of "
            f"{len(targets)} targets of {group.name} are healthy"
            for group in groups
            if (targets := case.around.behind.targets(group))
        ],
    )


def _judged(case: ServiceCase, ways: Sequence[_Way]) -> Judged:
    status = together(way.status for way in ways)
    if any(way.must and way.status == "fail" for way in ways):
        status = "fail"
    if status == "pass":
        return _healthy(case, ways)
    # What is worst is told of, and what is as bad; the rest stands in the evidence.
    order = ("fail", "unknown", "warn", "pass")
    zones = sorted(
        dict.fromkeys(zone for way in ways for zone in way.zones),
        key=lambda zone: order.index(zone.status),
    )
    wrong = [zone for zone in zones if zone.status == zones[0].status]
    resources = dict.fromkeys([*(z.group.id for z in wrong), wrong[0].balancer.id, case.service.id])
    evidence = list(dict.fromkeys(line for zone in wrong for line in _evidence(zone)))[:_MOST]
    groups = {zone.group.id for zone in wrong}
    good = [z.zone for z in zones if z.status == "pass" and z.group.id in groups]
    summary = _summary(wrong, good, status)
    if status == "unknown":
        return unknown(summary, resources, evidence)
    fix = _fix(case, wrong, bool(good))
    if status == "fail":
        return failed(summary, resources, evidence, fix)
    return warned(summary, resources, evidence, fix)


def _summary(wrong: Sequence[_Zone], good: Sequence[str], status: Status) -> str:
    first = wrong[0]
    groups = some(dict.fromkeys(zone.group.name for zone in wrong))
    where = some(dict.fromkeys(zone.zone for zone in wrong))
    if first.state == "initial":
        return f"The targets of {groups} in {where} are still being checked."
    if first.state == "unknown":
        return f"Whether a target of {groups} answers in {where} cannot be told."
    none = all(zone.state == "none" for zone in wrong)
    what = "registered target" if none else "healthy target"
    if status == "fail":
        said = f"Target group {groups} has no {what} in {where}"
        return f"{said}: nothing answers." if none else f"{said}{_OPEN}"
    said = f"Target group {groups} has no {what} in {where}"
    if not good:
        return f"{said}; what else the service listens on still answers."
    others = some(dict.fromkeys(good))
    return f"{said}, and cross-zone load balancing is off; {others} still answers."


# What AWS does where no target is healthy.
_OPEN = ": AWS then sends to all of them (fail-open), though they fail their health checks."


def _evidence(zone: _Zone) -> Iterator[str]:
    if not zone.targets:
        yield f"DescribeTargetHealth: {zone.group.name} has no target in {zone.zone}"
    for target in zone.targets:
        if target.state != "healthy":
            port = "" if target.port is None else f":{target.port}"
            why = ": ".join(filter(None, (target.reason, target.description)))
            yield (
                f"DescribeTargetHealth: {target.id}{port} of {zone.group.name} in {zone.zone} is "
                f"{target.state}" + (f" ({why})" if why else "")
            )


def _fix(case: ServiceCase, wrong: Sequence[_Zone], good: bool) -> str | None:
    zone = wrong[0]
    group = zone.group
    where = some(dict.fromkeys(one.zone for one in wrong if one.group == group))
    if zone.state == "initial":
        return None
    if zone.state == "none":
        step = f"EC2 console > Target groups > {group.name} > Targets > Register targets"
        step += "" if zone.cross_zone else f": in {where}"
    else:
        port = group.health_check_port
        at = "the traffic port" if port == "traffic-port" else f"port {port}"
        step = (
            f"Mend what answers the health check ({group.health_check_protocol} at {at}) on the "
            f"targets in {where}."
        )
    if not good or zone.cross_zone:
        return at_provider(case, before=step)
    own = case.site.inventory.target_group_attributes.get(group.id)
    overrides = getattr(own, "value", {}).get(CROSS_ZONE) == "false"
    operation, flag, arn = (
        ("elbv2 modify-target-group-attributes", "--target-group-arn", group.id)
        if overrides
        else ("elbv2 modify-load-balancer-attributes", "--load-balancer-arn", zone.balancer.id)
    )
    command = aws(case.scope, operation, flag, arn, "--attributes", f"Key={CROSS_ZONE},Value=true")
    before = f"{step}\nOr let the other zones' targets answer, which AWS bills as traffic between "
    return at_provider(case, command, before=f"{before}zones:")
