"""Commands to paste: whatever enters one is of a form that AWS gives its ids."""

from __future__ import annotations

import re
import shlex

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
