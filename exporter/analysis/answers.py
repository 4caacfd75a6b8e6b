"""What a resolver's answer for a name says of an endpoint, in one word."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, TypeAlias

from exporter.analysis.judged import Judged, unknown, warned
from exporter.model import Address, DnsName, Endpoint, Lookup, is_public

# own: the endpoint's addresses. half: those, and one of the two address families lacks. other:
# addresses of other endpoints of the same service. public, foreign: anybody else's, of the internet
# or not. none: there is no such name, or no address. silent: the resolver did not say. unheld:
# nothing to hold the answer against.
Word: TypeAlias = Literal["own", "half", "other", "public", "foreign", "none", "silent", "unheld"]
_SILENT = ("timeout", "refused", "servfail")
# States in which AWS may not have put an endpoint's names into DNS, or has taken them out.
NAMELESS = ("pending_acceptance", "rejected", "failed", "expired")


def word(lookup: Lookup, others: Collection[Address] = ()) -> Word:
    """Return what the answer is; `others` are addresses of other endpoints of the service."""
    if lookup.problem in _SILENT:
        return "silent"
    if not lookup.answers:
        return "none"
    if lookup.expected is None:
        return "unheld"
    if lookup.matches:
        return "half" if lookup.problem == "no_answer" else "own"
    foreign = set(lookup.answers).difference(lookup.expected)
    if foreign.issubset(others):
        return "other"
    return "public" if any(map(is_public, foreign)) else "foreign"


def told(lookup: Lookup) -> str:
    """Return what was asked and answered, and what the endpoint has, as evidence."""
    answers = ", ".join(map(str, lookup.answers)) or lookup.rcode
    if lookup.rcode == "NOERROR" and not lookup.answers:
        answers = "no address"
    has = ""
    if not lookup.matches and lookup.expected:
        has = f"; the endpoint has {', '.join(map(str, lookup.expected))}"
    return f"{lookup.name.name} by {lookup.resolver}: {answers}{has}"


def unpublished(endpoint: Endpoint, wrong: Iterable[Lookup]) -> Judged | None:
    """Return what a missing name means while AWS may not have published it; None once it has."""
    lacking = list(wrong)
    what = f"{resolvers(lacking)} does not lead {names(lacking)} to the endpoint"
    if endpoint.state == "pending":
        return warned(
            f"{what} yet: it is being created or changed.", [endpoint.id], map(told, lacking)
        )
    if endpoint.state == "unknown":
        return unknown(
            f"{what}; whether it should in the state {endpoint.aws_state} is not known here.",
            [endpoint.id],
            map(told, lacking),
        )
    return None


def names(found: Iterable[Lookup | DnsName], most: int = 1) -> str:
    """Return the names, the first of them where there are many."""
    texts = dict.fromkeys(x.name.name if isinstance(x, Lookup) else x.name for x in found)
    return _few(texts, most)


def resolvers(found: Iterable[Lookup]) -> str:
    """Return the resolvers that were asked."""
    return _few(dict.fromkeys(lookup.resolver for lookup in found), 3)


def _few(texts: Collection[str], most: int) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(list(texts)[:most]) + more
