"""Does the service's own name lead clients of the VPC to the endpoint?

https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
"""

from __future__ import annotations

from exporter.analysis import private_dns_off
from exporter.analysis.answers import NAMELESS, names, resolvers, told, unpublished, word
from exporter.analysis.case import EndpointCase
from exporter.analysis.dns_fixes import allow_private_names, shadows
from exporter.analysis.elsewhere import no_way, out_of_reach
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
from exporter.model import Lookup, VpcAttributes


def judge(case: EndpointCase) -> Judged:
    """Judge PrivateDnsEnabled, the VPC's attributes, and what its resolvers answer."""
    need(case.site.inventory.endpoints, "endpoints")
    endpoint = case.endpoint
    if endpoint.state in NAMELESS:
        return not_applicable(f"The endpoint's state is {endpoint.aws_state}: it has no names.")
    if not endpoint.private_dns_enabled:
        return private_dns_off.judge(case)
    own = {name for name in endpoint.dns_names if name.kind == "private"}
    asked = [x for x in case.lookups if x.name in own]
    others = case.world.at_service(endpoint.service_name)
    words = {id(x): word(x, others) for x in asked}
    wrong = [x for x in asked if words[id(x)] in ("public", "foreign", "none")]
    attributes, unseen = _attributes(case)
    if attributes and not (attributes.dns_support and attributes.dns_hostnames):
        return _forbidden(case, attributes, asked, {*words.values()} == {"own"})
    if endpoint.private_dns_inbound_only:
        if unseen:
            raise unseen
        return passed(
            "Private DNS is on for inbound resolver endpoints only: clients in the VPC go by the "
            "gateway endpoint, on purpose.",
            [endpoint.id],
            ["DnsOptions.PrivateDnsOnlyForInboundResolverEndpoint: true"],
        )
    if wrong:
        return _wrong(case, wrong)
    if unseen:
        raise unseen
    blind = [x for x in asked if words[id(x)] in ("silent", "unheld")]
    if blind:
        return _unheard(case, blind)
    half = [x for x in asked if words[id(x)] == "half"]
    if half:
        return warned(
            f"{resolvers(half)} answers {names(half)} with one of the two address families only.",
            [endpoint.id],
            map(told, half),
        )
    elsewhere = [x for x in asked if words[id(x)] == "other"]
    if elsewhere:
        theirs = dict.fromkeys(others[a] for x in elsewhere for a in x.answers if a in others)
        lost = out_of_reach(case, elsewhere, others)
        if lost:
            return unknown(
                f"{names(elsewhere)} leads to another endpoint of the same service. "
                f"{no_way(case, lost)}.",
                [endpoint.id, *lost],
                map(told, elsewhere),
            )
        return warned(
            f"{names(elsewhere)} leads to {', '.join(theirs)}, another endpoint of the same "
            "service: clients go past this one.",
            [endpoint.id, *theirs],
            map(told, elsewhere),
        )
    return _well(case, asked)


def _attributes(case: EndpointCase) -> tuple[VpcAttributes | None, Unseen | None]:
    """The VPC's attributes, or why they are not seen: a wrong answer is one without them too."""
    try:
        return case.around.vpc_attributes(case.endpoint.vpc_id), None
    except Unseen as why:
        return None, why


def _forbidden(
    case: EndpointCase, attributes: VpcAttributes, asked: list[Lookup], answered: bool
) -> Judged:
    vpc_id = case.endpoint.vpc_id
    owner = case.around.vpc_owner(vpc_id)
    off = [
        text
        for text, on in (
            ("DNS support", attributes.dns_support),
            ("DNS hostnames", attributes.dns_hostnames),
        )
        if not on
    ]
    evidence = [
        "DescribeVpcEndpoints: PrivateDnsEnabled true",
        f"DescribeVpcAttribute: enableDnsSupport {str(attributes.dns_support).lower()}, "
        f"enableDnsHostnames {str(attributes.dns_hostnames).lower()}",
        *map(told, asked),
    ]
    what = f"Private DNS is on, and {vpc_id} has {' and '.join(off)} switched off"
    if answered:
        return warned(
            f"{what}; {resolvers(asked)} answers with the endpoint's addresses all the same.",
            [vpc_id, case.endpoint.id],
            evidence,
            allow_private_names(case.scope, vpc_id, attributes, owner),
        )
    return failed(
        f"{what}: the service's own name does not lead to the endpoint.",
        [vpc_id, case.endpoint.id],
        evidence,
        allow_private_names(case.scope, vpc_id, attributes, owner),
    )


def _wrong(case: EndpointCase, wrong: list[Lookup]) -> Judged:
    endpoint = case.endpoint
    unproven = _unproven(case)
    # That the name is nowhere is the lack of proof; what answers for it leads clients astray.
    astray = [x for x in wrong if x.answers] if endpoint.state == "available" else []
    if unproven and not astray:
        return not_applicable(
            f"The provider has not proven that {names(wrong)} is theirs: its own check judges that."
        )
    wrong = astray if unproven else wrong
    # Until it is published, the name leads to the public, or nowhere.
    if not any(word(x) == "foreign" for x in wrong):
        early = unpublished(endpoint, wrong)
        if early:
            return early
    answers = dict.fromkeys(str(a) for x in wrong for a in x.answers)
    where = f"leads to {', '.join(answers)}" if answers else "is not known"
    fix = shadows(case.scope, endpoint.vpc_id, names(wrong))
    lapsed = f" The provider has not proven that {names(wrong)} is theirs." if unproven else ""
    if unproven:
        owner = (
            f"account {case.provider.scope.account}"
            if case.provider
            else f"the owner of {endpoint.service_name}"
        )
        fix = "\n".join(
            text for text in (f"Have {owner} prove that {names(wrong)} is theirs.", fix) if text
        )
    return failed(
        f"Private DNS is on, but {names(wrong)} {where} when {resolvers(wrong)} is asked for it "
        f"in {endpoint.vpc_id}.{lapsed}",
        [endpoint.id, endpoint.vpc_id],
        map(told, wrong),
        fix,
    )


def _unproven(case: EndpointCase) -> bool:
    """Whether the provider has yet to prove that the private name is theirs."""
    if case.provider and case.provider.service.private_dns:
        return not case.provider.service.private_dns.verified
    try:
        detail = case.around.service(case.endpoint.service_name, case.endpoint.type)
    except Unseen:
        return False
    return detail is not None and detail.private_dns_names != detail.proven_names


def _unheard(case: EndpointCase, blind: list[Lookup]) -> Judged:
    if any(x.expected is None and x.answers for x in blind):
        return unknown(
            f"The endpoint's addresses are not known: whether {names(blind)} leads to it cannot be "
            "told.",
            [case.endpoint.id],
            map(told, blind),
        )
    return unknown(
        f"{resolvers(blind)}, which answers for {case.endpoint.vpc_id}, did not answer for "
        f"{names(blind)}.",
        [case.endpoint.id],
        map(told, blind),
    )


def _well(case: EndpointCase, asked: list[Lookup]) -> Judged:
    endpoint = case.endpoint
    if asked:
        return passed(
            f"{names(asked)} leads to the endpoint, {resolvers(asked)} says.",
            [endpoint.id],
            map(told, asked),
        )
    return private_dns_off.unasked(case) or passed(
        f"Private DNS is on and {endpoint.vpc_id} allows it. No resolver that answers for the VPC "
        "was asked: whether clients use another one was not judged.",
        [endpoint.id, endpoint.vpc_id],
        ["DescribeVpcEndpoints: PrivateDnsEnabled true"],
    )
