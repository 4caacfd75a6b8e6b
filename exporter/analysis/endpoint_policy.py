"""Does the endpoint's policy let anything through?

It judges calls, not packets: flow logs show ACCEPT, and the caller gets AccessDenied.
https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from exporter.analysis.actions import prefixes
from exporter.analysis.case import EndpointCase
from exporter.analysis.fixes import by_its_maker, ec2
from exporter.analysis.judged import Judged, failed, need, not_applicable, passed, unknown

Statement = Mapping[str, Any]
_MOST = 3
# So much of a policy is evidence: it may have 20,480 characters.
_LENGTH = 500
_WHAT = {"Action": "everything", "Resource": "everything", "Principal": "everybody"}


def judge(case: EndpointCase) -> Judged:
    """Judge PolicyDocument: only what no call at all can pass fails."""
    need(case.site.inventory.endpoints, "endpoints")
    endpoint = case.endpoint
    if endpoint.policy is None:
        return not_applicable("The endpoint has no policy: its type or its service takes none.")
    statements = _statements(endpoint.policy)
    if statements is None:
        return unknown(
            "The endpoint's policy cannot be read.", [endpoint.id], [_bounded(endpoint.policy)]
        )
    own = prefixes(endpoint.service_name)
    allows = [s for s in statements if s["Effect"] == "Allow"]
    denies = [s for s in statements if s["Effect"] == "Deny"]
    all_denied = next((s for s in denies if _covers_all(s, own)), None)
    helping = [s for s in allows if _concerns(s, own)]
    if all_denied is not None or not helping:
        why = "allows nothing"
        if all_denied is not None:
            why = "denies everything to everybody"
        elif allows:
            why = f"allows nothing of {endpoint.service_name}, whose actions are {own[0]}:*"
        return failed(
            f"The endpoint's policy {why}: every call through it gets AccessDenied.",
            [endpoint.id],
            [f"PolicyDocument: {_bounded(json.dumps(all_denied or list(statements)))}"],
            _reset(case),
        )
    if not denies and any(_covers_all(s, own) for s in allows):
        return passed("The endpoint's policy lets everything through.", [endpoint.id])
    evidence = [f"allows {_told(s)}" for s in allows] + [f"denies {_told(s)}" for s in denies]
    more = f" and {len(evidence) - _MOST} more" if len(evidence) > _MOST else ""
    part = (
        ""
        if own
        else " What the actions of its service are called is not known here: only whether the "
        "policy denies everything (*) was judged."
    )
    return passed(
        f"The endpoint's policy restricts: it {'; it '.join(evidence[:_MOST])}{more}. Other calls "
        f"get AccessDenied.{part}",
        [endpoint.id],
        evidence,
    )


def _reset(case: EndpointCase) -> str | None:
    command = ec2(
        case.scope.region,
        "modify-vpc-endpoint",
        "--vpc-endpoint-id",
        case.endpoint.id,
        "--reset-policy",
        ids=[case.endpoint.id],
    )
    managed = by_its_maker(case.endpoint)
    return managed or (
        command
        and (
            "If an earlier policy is known, put that back, with --policy-document. This lets "
            f"everything through, as a new endpoint does:\n{command}"
        )
    )


@lru_cache(maxsize=1024)  # most endpoints have the default
def _statements(policy: str) -> tuple[Statement, ...] | None:
    """The statements; None where it is no policy as AWS writes them."""
    try:
        found = json.loads(policy)["Statement"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    every = found if isinstance(found, list) else [found]
    for one in every:
        if not isinstance(one, dict) or one.get("Effect") not in ("Allow", "Deny"):
            return None
    return tuple(every)


def _covers_all(statement: Statement, own: tuple[str, ...]) -> bool:
    """Whether it is of every call, whoever makes it: not where it names an exception or condition.

    All actions of the endpoint's own service, which begin so, are all that can come.
    """
    if statement.get("Condition") or any(f"Not{key}" in statement for key in _WHAT):
        return False
    all_actions = ("*", "*:*", *(f"{prefix}:*" for prefix in own[:1]))
    principal = statement.get("Principal")
    everybody = principal.get("AWS") if isinstance(principal, dict) else principal
    return (
        any(action.lower() in all_actions for action in _list(statement.get("Action")))
        and "*" in _list(statement.get("Resource"))
        and "*" in _list(everybody)
    )


def _concerns(statement: Statement, own: tuple[str, ...]) -> bool:
    """Whether any action that it names may be of the service, whose actions begin so."""
    if not own or "NotAction" in statement:
        return True
    return any(
        not colon or any(fnmatchcase(prefix, begin) for prefix in own)
        for begin, colon, _ in (a.lower().partition(":") for a in _list(statement.get("Action")))
    )


def _bounded(text: str) -> str:
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"


def _told(statement: Statement) -> str:
    """Say who may or may not do what with what."""
    actions, resources, principals = (_part(statement, key) for key in _WHAT)
    under = " under conditions" if statement.get("Condition") else ""
    return f"{actions} on {resources} to {principals}{under}"


def _part(statement: Statement, key: str) -> str:
    listed = _principals if key == "Principal" else _list
    if f"Not{key}" in statement:
        return f"{_WHAT[key]} but {_few(listed(statement[f'Not{key}']))}"
    found = listed(statement.get(key))
    return _WHAT[key] if not found or "*" in found else _few(found)


def _few(found: list[str]) -> str:
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return ", ".join(found[:_MOST]) + more


def _list(value: object) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _principals(value: object) -> list[str]:
    """Return who is meant, of whatever kind; everybody where that is all AWS principals."""
    if isinstance(value, dict):
        return [who for kind in sorted(value) for who in _list(value[kind])]
    return _list(value)
