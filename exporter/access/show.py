"""What the credentials may ask, as text of 80 columns and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.access.report import Access, AccountAccess, Answer

WIDTH = 80


def as_json(access: Access) -> dict[str, Any]:
    """Return it as JSON takes it."""
    return {
        "generated_at": datetime.fromtimestamp(access.as_of, UTC).isoformat(),
        "accounts": [_account(account) for account in access.accounts],
    }


def _account(account: AccountAccess) -> dict[str, Any]:
    return {
        "account": account.account,
        "role_arn": account.role,
        "assumable": not account.shut,
        "blind_checks": [*account.blind],
        "operations": [_operation(answer) for answer in account.answers],
        "policy": account.policy,
        "exporter_policy": account.own_policy,
        "trust_policy": account.trust,
    }


def _operation(answer: Answer) -> dict[str, Any]:
    operation = answer.operation
    return {
        "region": answer.scope.region,
        "aws_service": operation.service,
        "operation": operation.name,
        "action": operation.grant.action,
        "status": answer.status,
        "cause": answer.cause or None,
        "reason": answer.why or None,
        "feeds": operation.feeds,
        "checks": [*operation.checks],
        "metrics": [metric.name for metric in operation.metrics],
    }


def text(access: Access) -> str:
    """Return it as somebody reads it, account by account; what is denied first."""
    return "\n".join(line for account in access.accounts for line in _lines(account))


def _lines(account: AccountAccess) -> Iterator[str]:
    name = account.account or "The exporter's own account"
    yield f"{name}  {account.role or 'own credentials'}"
    if account.shut:
        yield from _wrapped("The role cannot be assumed: nothing of this account is seen.", "  ")
    by_status = _grouped(account.answers, lambda answer: answer.status)
    counts = (f"{len(by_status.get(s, ()))} {s}" for s in ("allowed", "denied", "untested"))
    yield f"  {', '.join(counts)}"
    for answers in _grouped(by_status.get("denied", ()), _action).values():
        yield from _denied(answers)
    for why, answers in _grouped(by_status.get("untested", ()), lambda a: a.why).items():
        yield ""
        yield from _wrapped(f"untested: {why}", "  ")
        yield from _wrapped(", ".join(dict.fromkeys(map(_action, answers))), "    ")
    yield from _policy(account.policy, f"Add to the permissions of {account.role or 'this user'}:")
    yield from _policy(account.own_policy, "Add to the permissions of the exporter's own role:")
    yield from _policy(account.trust, f"Let {account.role} be assumed: add to its trust policy:")
    yield ""


def _denied(answers: Iterable[Answer]) -> Iterator[str]:
    some = list(answers)
    operation = some[0].operation
    regions = dict.fromkeys(answer.scope.region for answer in some if answer.scope.region)
    yield ""
    yield from _wrapped(f"DENIED {operation.grant.action} in {', '.join(regions)}", "  ")
    reasons = dict.fromkeys(answer.why for answer in some)
    yield from _wrapped(next(iter(reasons)), "    ")
    yield from _wrapped(f"feeds: {operation.feeds}", "    ")
    yield from _wrapped(f"blind: {', '.join(operation.checks) or 'no check'}", "    ")
    names = ", ".join(metric.name for metric in operation.metrics)
    yield from _wrapped(f"metrics: {names or 'none'}", "    ")


def _policy(document: Mapping[str, Any] | None, heading: str) -> Iterator[str]:
    if document:
        yield ""
        yield from _wrapped(heading, "  ")
        # Not indented nor wrapped: it is there to be pasted.
        yield json.dumps(document, indent=2)


def _action(answer: Answer) -> str:
    return answer.operation.grant.action


def _grouped(answers: Iterable[Answer], key: Any) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        found.setdefault(key(answer), []).append(answer)
    return found


def _wrapped(line: str, indent: str) -> list[str]:
    further = f"{indent}  "
    return textwrap.wrap(
        line, WIDTH, initial_indent=indent, subsequent_indent=further, break_on_hyphens=False
    )
