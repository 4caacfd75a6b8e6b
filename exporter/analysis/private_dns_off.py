"""Private DNS is off: on purpose, as in a hub with a shared hosted zone, or by mistake?

Centralised endpoints have it off on AWS's own advice:
https://docs.aws.amazon.com/whitepapers/latest/building-scalable-secure-multi-vpc-network-infrastructure/centralized-access-to-vpc-private-endpoints.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from exporter.analysis.answers import Word, names, resolvers, told, word
from exporter.analysis.case import EndpointCase
from exporter.analysis.dns_fixes import enable_private_dns
from exporter.analysis.elsewhere import no_way, out_of_reach
from exporter.analysis.judged import (
    Judged,
    Unseen,
    failed,
    not_applicable,
    passed,
    unknown,
    warned,
)
from exporter.model import Endpoint, Lookup, last_known

T = TypeVar("T")
_EVIDENCE = "DescribeVpcEndpoints: PrivateDnsEnabled false"


def judge(case: EndpointCase) -> Judged:
    """Judge where the service's own names lead without it."""
    endpoint = case.endpoint
    if case.expected.private_dns is False:
        return passed(
            "Private DNS is off, as the configuration says it should be.",
            [endpoint.id],
            [_EVIDENCE],
        )
    known = _service_names(case)
    if isinstance(known, Judged):
        return known
    asked = [x for x in case.lookups if x.name.kind in ("private", "service")]
    if not asked:
        return unasked(case) or _alone(case, known)
    others = case.world.at_service(endpoint.service_name)
    words = {id(x): word(x, others) for x in asked}

    def having(*wanted: Word) -> list[Lookup]:
        return [x for x in asked if words[id(x)] in wanted]

    public, blind = having("public"), having("silent", "unheld")
    led = having("own", "half", "other")
    if public and not led and not having("foreign"):
        cut = _cut_off(case, public)
        if cut:
            return cut
    if blind:
        return unknown(
            f"Private DNS is off, and where {names(blind)} leads could not be seen: "
            + (
                f"{resolvers(having('silent'))}, which answers for {endpoint.vpc_id}, did not "
                "answer."
                if having("silent")
                else "the endpoint's addresses are not known."
            ),
            [endpoint.id],
            map(told, blind),
        )
    past = [x for x in asked if x not in led]
    if not past:
        theirs = dict.fromkeys(others[a] for x in led for a in x.answers if a in others)
        lost = out_of_reach(case, having("other"), others)
        if lost:
            return unknown(
                f"Private DNS is off, and {resolvers(led)} leads {names(led)} to another endpoint "
                f"of the same service. {no_way(case, lost)}.",
                [endpoint.id, *lost],
                [_EVIDENCE, *map(told, led)],
            )
        return passed(
            f"Private DNS is off, and {resolvers(led)} leads {names(led)} to "
            f"{', '.join(theirs) or endpoint.id} all the same.",
            [endpoint.id, *(i for i in theirs if i != endpoint.id)],
            [_EVIDENCE, *map(told, led)],
        )
    if len(public) == len(past):
        by_gateway = _by_gateway(case)
        if by_gateway:
            return by_gateway
    return _past(case, past)


def _service_names(case: EndpointCase) -> tuple[str, ...] | Judged:
    """The names that clients use for the service; a judgement where there are none to judge."""
    endpoint = case.endpoint
    if endpoint.type != "Interface":
        return not_applicable(f"Private DNS is off; the type {endpoint.type} needs no such name.")
    detail = case.around.service(endpoint.service_name, endpoint.type)
    own = case.provider.service.private_dns if case.provider else None
    if detail is None and own is None:
        return not_applicable(
            f"Private DNS is off, and AWS lists no {endpoint.service_name} here: whether the "
            "service has a name of its own was not judged."
        )
    listed = detail.private_dns_names if detail else (own.name,) if own else ()
    proven = detail.proven_names if detail else listed
    if own is not None and not own.verified:
        proven = ()
    if listed and not proven:
        return not_applicable(
            f"Private DNS is off, and the provider has not proven that {listed[0]} is theirs: "
            "nobody can use that name."
        )
    return proven or not_applicable("The service has no name of its own that could lead here.")


def unasked(case: EndpointCase) -> Judged | None:
    """Return what there is to say where a resolver that should tell could not be asked."""
    if "dns" in case.site.blind and "dns" not in case.world.facts.off:
        return unknown(f"No name could be asked for: {case.site.blind['dns']}.", [case.endpoint.id])
    return None


def _alone(case: EndpointCase, known: tuple[str, ...]) -> Judged:
    """Judge by what AWS tells alone."""
    endpoint = case.endpoint
    sibling = _sibling(case)
    if sibling:
        return passed(
            f"Private DNS is off here and on at {sibling.id}, which has the name of the same "
            f"service in {endpoint.vpc_id}. No resolver of the VPC was asked.",
            [endpoint.id, sibling.id],
            [_EVIDENCE],
        )
    return _by_gateway(case) or warned(
        f"Private DNS is off: clients that use {known[0]} go past the endpoint, unless a hosted "
        f"zone leads them here. No resolver that answers for {endpoint.vpc_id} was asked.",
        [endpoint.id],
        [_EVIDENCE],
        _switch_on(case),
    )


def _sibling(case: EndpointCase) -> Endpoint | None:
    """Another endpoint in the VPC that has private DNS for the same service: two cannot."""
    here = case.endpoint
    return _once(
        case,
        ("sibling", here.vpc_id, here.service_name),
        lambda: next(
            (
                e
                for e in case.around.serving(here.vpc_id, here.service_name)
                if e.private_dns_enabled
                and not e.private_dns_inbound_only
                and e.state == "available"
            ),
            None,
        ),
    )


def _once(case: EndpointCase, key: tuple[str, ...], find: Callable[[], T]) -> T:
    """Return what is found for many endpoints of a VPC together; raises what `find` raises."""
    memo = case.around.memo
    if key not in memo:
        memo[key] = find()
    found: T = memo[key]
    return found


def _past(case: EndpointCase, past: list[Lookup]) -> Judged:
    endpoint = case.endpoint
    answers = dict.fromkeys(str(a) for x in past for a in x.answers)
    if not answers:
        where = "is not known there: clients need the endpoint's own names"
    else:
        where = f"leads to {', '.join(answers)}: clients that use it go past the endpoint"
    return warned(
        f"Private DNS is off, and {names(past)}, asked of {resolvers(past)}, {where}.",
        [endpoint.id],
        [_EVIDENCE, *map(told, past)],
        _switch_on(case),
    )


def _switch_on(case: EndpointCase) -> str | None:
    """The commands, and what to do instead where it is off on purpose."""
    here = case.endpoint
    attributes = case.site.inventory.vpc_attributes.get(here.vpc_id)
    known = last_known(attributes) if attributes else None
    owner = case.around.vpc_owner(here.vpc_id)
    commands = enable_private_dns(case.scope, here, known, owner)
    return commands and (
        f"{commands}\nWhere it is off on purpose, say so in the exporter's configuration:\n"
        f"endpoints: [{{match: {{id: {here.id}}}, private_dns: false}}]"
    )


def _cut_off(case: EndpointCase, public: list[Lookup]) -> Judged | None:
    """Return a fault where nothing leaves the VPC: public addresses cannot be reached then."""
    here = case.endpoint
    if _way_out(case) or _gateway_subnets(case)[1]:
        return None
    attributes = case.site.inventory.vpc_attributes.get(here.vpc_id)
    return failed(
        f"Private DNS is off and {names(public)} leads to public addresses, but {here.vpc_id} has "
        "no way to the internet: the name cannot work there at all.",
        [here.id, here.vpc_id],
        [
            _EVIDENCE,
            *map(told, public),
            f"DescribeRouteTables: {', '.join(t.id for t in case.around.tables(here.vpc_id))} "
            "route nothing out of the VPC",
        ],
        enable_private_dns(
            case.scope,
            here,
            last_known(attributes) if attributes else None,
            case.around.vpc_owner(here.vpc_id),
        ),
    )


def _way_out(case: EndpointCase) -> bool:
    """Whether any route leads out of the VPC, or to what may; raises Unseen.

    Only what certainly leads nowhere counts for nothing: the VPC's own networks, blackholes, and
    gateway endpoints, which take the traffic of their own service alone.
    """
    vpc_id = case.endpoint.vpc_id
    return _once(case, ("way out", vpc_id), lambda: _leaves(case, vpc_id))


def _leaves(case: EndpointCase, vpc_id: str) -> bool:
    tables = case.around.tables(vpc_id)
    if not any(table.main for table in tables):
        raise Unseen(f"route tables of {vpc_id}: the main one was not listed")
    gateways = {e.id for e in case.around.endpoints(vpc_id) if e.type == "Gateway"}
    return any(
        route.target != "local" and route.state != "blackhole" and route.target not in gateways
        for table in tables
        for route in table.routes
    )


def _gateway_subnets(case: EndpointCase) -> tuple[Endpoint | None, list[str], list[str]]:
    """The VPC's gateway endpoint of the same service, the subnets with a route to it, and without.

    Raises Unseen.
    """
    here = case.endpoint
    key = "gateway", here.vpc_id, here.service_name
    return _once(case, key, lambda: _by_subnet(case))


def _by_subnet(case: EndpointCase) -> tuple[Endpoint | None, list[str], list[str]]:
    here = case.endpoint
    gateway = next(
        (
            e
            for e in case.around.serving(here.vpc_id, here.service_name)
            if (e.type, e.state) == ("Gateway", "available")
        ),
        None,
    )
    found: tuple[list[str], list[str]] = ([], [])
    if gateway is not None:
        for subnet in case.around.subnets(here.vpc_id):
            routes = case.around.table(subnet.id).routes
            led = any(r.target == gateway.id and r.state != "blackhole" for r in routes)
            found[0 if led else 1].append(subnet.id)
    return gateway, *found


def _by_gateway(case: EndpointCase) -> Judged | None:
    """Return that the name is meant for the VPC's gateway endpoint, where all its routes say so.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html
    """
    gateway, led, not_led = _gateway_subnets(case)
    if gateway is None or not led or not_led:
        return None
    return passed(
        f"Private DNS is off: clients in {case.endpoint.vpc_id} that use the service's own name go "
        f"by the gateway endpoint {gateway.id}, to which every subnet has a route.",
        [case.endpoint.id, gateway.id],
        [_EVIDENCE],
    )
