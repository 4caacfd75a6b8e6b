"""Do the targets' security groups let the load balancer in, and its own let it out to them?

https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-troubleshooting.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exporter.analysis import hops
from exporter.analysis.case import ServiceCase
from exporter.analysis.clients import Port
from exporter.analysis.commands import at_provider
from exporter.analysis.consumers import asked, together, zone_ids
from exporter.analysis.fixes import open_group
from exporter.analysis.hops import Passage
from exporter.analysis.judged import Judged, failed, not_applicable, passed, unknown, warned
from exporter.analysis.phrases import some
from exporter.model import Interface, Listener, LoadBalancer, Status, Target, TargetGroup

_MOST = 10


@dataclass(frozen=True, slots=True)
class _Look:
    """What is seen of the way from a load balancer to one target.

    `kept` are the doors that are not open, `listeners` those that forward to it.
    """

    balancer: LoadBalancer
    group: TargetGroup
    target: Target
    interface: Interface | None
    status: Status
    kept: tuple[Passage, ...] = ()
    listeners: tuple[Listener, ...] = ()

    @property
    def worst(self) -> Passage | None:
        """The door that decides: the first of those that are as bad."""
        return max(self.kept, key=lambda one: _ORDER.index(_STATUS[one.passing]), default=None)

    @property
    def swallows(self) -> bool:
        """Whether it is given connections, as one that passes its health check, and gets none."""
        shut = any(one.door.what == "traffic" and one.passing == "none" for one in self.kept)
        return shut and self.target.state == "healthy"


_ORDER: tuple[Status, ...] = ("pass", "unknown", "warn", "fail")
_STATUS: dict[str, Status] = {"all": "pass", "some": "warn", "none": "fail", "unknown": "unknown"}


def judge(case: ServiceCase) -> Judged:
    """Judge each target whose interface can be seen; of a consumer, in the zones it comes from."""
    key = ("targets' groups", case.service.id)
    known = case.around.memo.get(key)
    if known is None:
        known = case.around.memo[key] = tuple(_looks(case))
    assert isinstance(known, tuple)
    looks: tuple[_Look, ...] = known
    if any(look.status != "pass" for look in looks):
        # Whose ports and zones these are matters only where something is wrong.
        looks = tuple(_concerning(case, looks))
    if not looks:
        return not_applicable(
            "No target in use is an interface of the load balancer's VPC: their security groups "
            "were not judged."
        )
    return _judged(case, looks)


def _concerning(case: ServiceCase, looks: Iterable[_Look]) -> Iterator[_Look]:
    """Yield what concerns the consumer: by the ports that it comes to and its zones."""
    wanted = asked(case, list(dict.fromkeys(one for look in looks for one in look.listeners)))
    zones = zone_ids(case)
    for look in looks:
        if wanted.keys().isdisjoint(look.listeners):
            continue
        if (
            zones is None
            or look.interface is None
            or look.interface.zone_id in zones
            or case.around.behind.cross_zone(look.balancer, look.group)
        ):
            yield look


def _looks(case: ServiceCase) -> Iterator[_Look]:
    """Yield what is said of each target, once for each load balancer and group."""
    behind = case.around.behind
    for balancer in behind.balancers(case.service):
        by_group: dict[TargetGroup, list[Listener]] = {}
        for listener in behind.listeners(balancer):
            for group in behind.groups(listener):
                if group.target_type in ("instance", "ip"):
                    by_group.setdefault(group, []).append(listener)
        for group, listeners in by_group.items():
            for target in behind.targets(group):
                if target.state not in ("draining", "unused"):
                    for look in _target(case, balancer, group, target):
                        yield replace(look, listeners=tuple(listeners))


def _target(
    case: ServiceCase, balancer: LoadBalancer, group: TargetGroup, target: Target
) -> Iterator[_Look]:
    """Yield what is said of one target; nothing where it is not in the VPC."""
    found = hops.interfaces(case.around, group, target)
    if found is None:
        return
    looks = [_interface(case, balancer, group, target, one) for one in found]
    if not looks:
        # Where the health check goes to the same port, that it passes shows that packets do.
        same = group.health_check_enabled and group.health_check_port in (
            "traffic-port",
            str(target.port),
        )
        proven = same and target.state == "healthy"
        yield _Look(balancer, group, target, None, "pass" if proven else "unknown")
    elif len({look.status for look in looks}) == 1:
        yield looks[0]
    else:
        # Which of an instance's interfaces is its primary one is not known.
        yield _Look(balancer, group, target, looks[0].interface, "unknown")


def _interface(
    case: ServiceCase,
    balancer: LoadBalancer,
    group: TargetGroup,
    target: Target,
    interface: Interface,
) -> _Look:
    six = group.ip_address_type == "ipv6"
    wanted = [a for a in interface.addresses if (a.version == 6) == six]
    address = hops.address_of(target) or next(iter(wanted), None)
    if address is None:
        return _Look(balancer, group, target, interface, "unknown")
    every = hops.sources(case.around, balancer, address.version)
    kept: list[Passage] = []
    for door in hops.doors(group, target):
        found = hops.passage(case.around, balancer, every, interface, address, door)
        if found.passing in ("some", "unknown") and not found.egress:
            near = [s for s in every if s.zone_id == interface.zone_id]
            # Only from its own zone is a target asked, unless cross-zone is on.
            if near and not case.around.behind.cross_zone(balancer, group):
                found = hops.passage(case.around, balancer, near, interface, address, door)
        if found.passing != "all":
            kept.append(found)
    said = [_STATUS[one.passing] for one in kept]
    status: Status = max(said, key=_ORDER.index) if said else "pass"
    return _Look(balancer, group, target, interface, status, tuple(kept))


def _judged(case: ServiceCase, looks: Sequence[_Look]) -> Judged:
    status = together(look.status for look in looks)
    if any(look.swallows for look in looks):
        status = "fail"
    if status == "pass":
        seen = [look for look in looks if look.interface is not None]
        groups = dict.fromkeys(
            g for x in seen if x.interface for g in x.interface.security_group_ids
        )
        return passed(
            f"The targets let the load balancer in: {len(looks)} were judged.", list(groups)
        )
    wrong = sorted(
        (look for look in looks if look.status != "pass"),
        key=lambda look: (not look.swallows, -_ORDER.index(look.status)),
    )
    if status == "unknown":
        wrong = [look for look in wrong if look.status == "unknown"]
    first = wrong[0]
    resources = dict.fromkeys([*(r for look in wrong[:_MOST] for r in _resources(look))])
    ids = [*resources, first.group.id, first.balancer.id, case.service.id]
    evidence = list(dict.fromkeys(line for look in wrong[:_MOST] for line in _evidence(look)))
    if status == "unknown":
        return unknown(
            f"Whether {first.target.id}, a target of {first.group.name}, lets the load balancer in "
            f"cannot be told: {_doubt(first)}.",
            ids,
            evidence,
        )
    named = [x for x in wrong if (x.status, x.swallows) == (first.status, first.swallows)]
    fix = at_provider(case, *_opening(case, wrong))
    if status == "fail":
        return failed(_summary(named), ids, evidence, fix)
    return warned(f"{_summary(named)} Other targets are let through to.", ids, evidence, fix)


def _doubt(look: _Look) -> str:
    if look.worst is not None and look.worst.decision is not None:
        return look.worst.decision.by
    return "its interface was not listed" if look.interface is None else "which of its interfaces"


def _summary(looks: Sequence[_Look]) -> str:
    first = looks[0]
    worst = first.worst
    assert worst is not None
    assert worst.decision is not None
    targets = some(dict.fromkeys(look.target.id for look in looks), 3)
    groups = some(worst.decision.of)
    if worst.egress:
        way = f"of load balancer {first.balancer.name} does not let it out to"
        said = f"Security group {groups} {way} {targets} at the {worst.door}"
    else:
        part = "all of " if worst.passing == "some" else ""
        said = (
            f"Security group {groups} of the targets {targets} does not let {part}the load "
            f"balancer {first.balancer.name} in at the {worst.door}"
        )
    if worst.door.what == "health check":
        return f"{said}: they count as unhealthy."
    return f"{said}: connections get no answer."


def _resources(look: _Look) -> Iterator[str]:
    for one in look.kept:
        yield from one.decision.resources if one.decision else ()
    if look.interface is not None:
        yield look.interface.id


def _evidence(look: _Look) -> Iterator[str]:
    for one in look.kept:
        if one.decision is not None:
            yield f"{one.door} of {look.target.id}: {one.decision.by}"
    if look.interface is None:
        yield f"DescribeNetworkInterfaces: none has {look.target.id}"
    yield f"DescribeTargetHealth: {look.target.id} is {look.target.state}" + (
        f" ({look.target.reason})" if look.target.reason else ""
    )


def _opening(case: ServiceCase, looks: Sequence[_Look]) -> list[str | None]:
    """Return the commands that let the load balancer in: by its group, else its addresses."""
    found: dict[str | None, None] = {}
    for look in looks:
        if look.interface is not None:
            for one in look.kept:
                found |= dict.fromkeys(_commands(case, look, look.interface, one))
    return list(found)[:_MOST]


def _commands(
    case: ServiceCase, look: _Look, interface: Interface, one: Passage
) -> Iterator[str | None]:
    if one.passing not in ("none", "some"):
        return
    guards, theirs = interface.security_group_ids, look.balancer.security_group_ids
    region = case.scope.region
    for at in (Port(protocol, one.door.port) for protocol in one.door.protocols):
        if one.egress:
            # Where no group guards the target, its address says whom to let out to.
            to = guards[0] if guards else one.decision.peer.network if one.decision else None
            if to is not None:
                yield open_group(region, theirs[0], to, at, egress=True)
        elif theirs:
            yield open_group(region, guards[0], theirs[0], at)
        else:
            for source in one.sources:
                yield open_group(region, guards[0], source.network, at)
