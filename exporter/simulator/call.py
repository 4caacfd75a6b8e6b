"""What a signed request asks for, and whose it is."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from moto.iam.models import get_account_id_from

from exporter.simulator import rest
from exporter.simulator.state import Where, World

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_ROLE = re.compile(r"arn:aws:iam::(\d{12}):role/.+")
# Services are called as in boto3; some sign by another name.
_SIGNED_AS = {"elasticloadbalancing": "elbv2"}


@dataclass(frozen=True, slots=True)
class Call:
    """A request: `account` is its credentials', of AssumeRole the role's."""

    access_key: str
    caller: str
    account: str
    region: str
    service: str
    operation: str
    body: bytes
    role_arn: str = ""

    @property
    def where(self) -> Where:
        """The account and Region that it asks about."""
        return Where(self.caller, self.region)


def identify(world: World, environ: Environ) -> Call | None:
    """Return what a signed request asks for, None when unsigned; the body stays readable."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not found:
        return None
    access_key, region, signed = found.groups()
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    role = ""
    if target:
        operation = target.rpartition(".")[2]
    elif signed == "s3":
        operation = rest.operation(
            environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
        )
    else:
        form = parse_qs(body.decode("utf-8", "replace"))
        operation = form.get("Action", [""])[0]
        role = form.get("RoleArn", [""])[0]
    caller = world.keys.get(access_key) or str(get_account_id_from(access_key))
    role_account = _ROLE.fullmatch(role)
    return Call(
        access_key,
        caller,
        role_account.group(1) if role_account else caller,
        region,
        _SIGNED_AS.get(signed, signed),
        operation,
        body,
        role,
    )


def with_body(environ: Environ, body: bytes) -> Environ:
    """Return the request with another body."""
    return {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def respond(
    start_response: StartResponse, body: bytes, content_type: str, status: int = 200
) -> Iterable[bytes]:
    """Answer."""
    start_response(
        f"{status} simulated",
        [("Content-Type", content_type), ("Content-Length", str(len(body)))],
    )
    return [body]


def respond_json(start_response: StartResponse, value: Any, status: int = 200) -> Iterable[bytes]:
    """Answer with JSON."""
    return respond(start_response, json.dumps(value).encode(), "application/json", status)
