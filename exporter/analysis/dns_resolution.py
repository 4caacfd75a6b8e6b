"""Do the endpoint's own names, regional and zonal, lead to its interfaces?

https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.analysis.answers import (
    NAMELESS,
    Word,
    names,
    resolvers,
    told,
    unpublished,
    word,
)
from exporter.analysis.case import EndpointCase
from exporter.analysis.dns_fixes import shadows
from exporter.analysis.judged import Judged, failed, need, not_applicable, passed, unknown, warned
from exporter.model import DnsName, Lookup

# An endpoint that is younger, in seconds, may not have been asked about yet.
_YOUNG = 900.0
_HOW = {
    "none": "does not know {names}",
    "foreign": "answers {names} with {answers}, which is not the endpoint's",
    "public": "answers {names} with {answers}, which is not the endpoint's",
}


def judge(case: EndpointCase) -> Judged:
    """Judge what each resolver that was asked answers for them."""
    need(case.site.inventory.endpoints, "endpoints")
    endpoint = case.endpoint
    if endpoint.state in NAMELESS:
        return not_applicable(f"The endpoint's state is {endpoint.aws_state}: it has no names.")
    broken = _broken(case)
    own = [
        name
        for name in endpoint.dns_names
        if name.kind in ("regional", "zonal") and name.name not in broken
    ]
    if not own:
        return not_applicable("AWS gives the endpoint no names of its own.")
    asked = [x for x in case.lookups if x.name in own]
    if not asked:
        return _unasked(case)
    words = {id(x): word(x) for x in asked}

    def having(*wanted: Word) -> list[Lookup]:
        return [x for x in asked if words[id(x)] in wanted]

    wrong = having("none", "foreign", "public")
    inside = [x for x in wrong if x.inside]
    if inside:
        return _wrong(case, inside, words[id(inside[0])])
    if wrong:
        return unknown(
            f"{resolvers(wrong)}, {_how(wrong, words[id(wrong[0])])}; but it is not a resolver of "
            f"{endpoint.vpc_id}: what clients there are answered was not seen.",
            [endpoint.id],
            map(told, wrong),
        )
    if silent := having("silent"):
        return unknown(
            f"{resolvers(silent)} did not answer for {names(silent)} "
            f"({', '.join(dict.fromkeys(x.rcode for x in silent))}).",
            [endpoint.id],
            map(told, silent),
        )
    if unheld := having("unheld"):
        return unknown(
            "The endpoint's addresses are not known: whether its names lead to it cannot be told.",
            [endpoint.id],
            map(told, unheld),
        )
    if half := having("half"):
        return warned(
            f"{resolvers(half)} answers {names(half)} with one of the two address families only.",
            [endpoint.id],
            map(told, half),
        )
    return _well(case, own, asked)


def _broken(case: EndpointCase) -> frozenset[str]:
    """The names of associations that do not work, as the endpoint's state says: AWS drops them."""
    if case.endpoint.type == "Interface":
        return frozenset()
    return frozenset(
        name.rstrip(".").lower()
        for association in case.around.associations(case.endpoint.id)
        if association.accessibility.lower() != "accessible"
        for name in association.dns_names
    )


def _well(case: EndpointCase, own: list[DnsName], asked: list[Lookup]) -> Judged:
    missing = [name for name in own if name not in {x.name for x in asked}]
    if missing:
        return unknown(
            f"{resolvers(asked)} has not been asked for {names(missing)} yet.",
            [case.endpoint.id],
            map(told, asked),
        )
    outside = "" if any(x.inside for x in asked) else ", asked from outside its VPC,"
    left = len(_broken(case))
    count = f"All {len(own)} of the endpoint's own names lead" if len(own) > 1 else "Its name leads"
    if left:
        count = f"{len(own)} of the endpoint's {len(own) + left} names, those of associations that "
        count += "work, " + ("lead" if len(own) > 1 else "leads")
    return passed(
        f"{count} to its interfaces, {resolvers(asked)}{outside} says.",
        [case.endpoint.id],
        map(told, asked),
    )


def _wrong(case: EndpointCase, wrong: list[Lookup], how: Word) -> Judged:
    endpoint = case.endpoint
    early = None if any(x.answers for x in wrong) else unpublished(endpoint, wrong)
    return early or failed(
        f"{resolvers(wrong)}, which answers for {endpoint.vpc_id}, {_how(wrong, how)}.",
        [endpoint.id],
        map(told, wrong),
        shadows(case.scope, endpoint.vpc_id, names(wrong)),
    )


def _how(wrong: Iterable[Lookup], how: Word) -> str:
    found = list(wrong)
    answers = dict.fromkeys(str(a) for x in found for a in x.answers)
    return _HOW[how].format(names=names(found), answers=", ".join(answers))


def _unasked(case: EndpointCase) -> Judged:
    """Nothing was answered: is there nobody to ask, or could we not ask?"""
    endpoint = case.endpoint
    if "dns" in case.site.blind:
        return unknown(f"No name could be asked for: {case.site.blind['dns']}.", [endpoint.id])
    young = endpoint.created is not None and case.now - endpoint.created < _YOUNG
    if young or _should_have_been(case):
        return unknown("Its names have not been asked for yet.", [endpoint.id])
    return not_applicable(
        f"No resolver is configured that answers for {endpoint.vpc_id}: whether its names lead to "
        "it was not judged."
    )


def _should_have_been(case: EndpointCase) -> bool:
    """Whether there is, or may be, a resolver for the VPC: one that is dead answers nobody."""
    vpcs, all_answered = case.world.asked_about(case.scope)
    return not vpcs or not all_answered or case.endpoint.vpc_id in vpcs
