"""Commands to paste: whatever enters one is of a form that AWS gives its ids."""

from __future__ import annotations

import re
import shlex

from exporter.analysis.case import ServiceCase
from exporter.model import Scope

_FORM = re.compile(r"[A-Za-z0-9-][A-Za-z0-9._:/,=\[\]{}-]*")


def aws(scope: Scope, operation: str, *arguments: str) -> str | None:
    """Return a command of the AWS CLI, such as `ec2 create-route`, with its Region.

    None where an argument has other characters than ids, numbers and networks have.
    """
    if not all(_FORM.fullmatch(argument) for argument in arguments):
        return None
    words = ["aws", *operation.split(), *arguments, "--region", scope.region]
    return " ".join(map(shlex.quote, words))


def at_provider(
    case: ServiceCase, *commands: str | None, before: str = "", after: str = ""
) -> str | None:
    """Return what the provider should do, a command a line; None where nothing is left to say.

    On a consumer's endpoint it says first in whose account.
    """
    lines = [before, *commands, after]
    found = [line for line in lines if line]
    if found and case.consumer is not None:
        found.insert(0, f"In the provider's account {case.scope.account}:")
    return "\n".join(found) or None
