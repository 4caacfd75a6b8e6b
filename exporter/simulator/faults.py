"""Faults on purpose, in front of every simulated service; and a count of every call."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
# EC2 and STS each say it in their own words, the JSON services in a third.
_ERRORS = {
    "denied": (
        403,
        {"ec2": "UnauthorizedOperation", "sts": "AccessDenied"},
        "AccessDeniedException",
    ),
    "throttled": (400, {"ec2": "RequestLimitExceeded"}, "ThrottlingException"),
    "expired": (400, {"ec2": "RequestExpired", "sts": "ExpiredToken"}, "ExpiredTokenException"),
    "error": (500, {"ec2": "InternalError"}, "InternalFailure"),
}
KINDS = (*_ERRORS, "timeout", "dropped", "malformed")


class Call(NamedTuple):
    """What a request asks for, from its signature and body."""

    access_key: str
    region: str
    service: str
    operation: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and where: an empty field means everywhere. `seconds` of a timeout."""

    kind: str
    service: str = ""
    operation: str = ""
    region: str = ""
    seconds: float = 60.0

    def hits(self, call: Call) -> bool:
        """Whether the fault is meant for the call."""
        return (
            self.service in ("", call.service)
            and self.operation in ("", call.operation)
            and self.region in ("", call.region)
        )


class Faults:
    """WSGI middleware: the first fault that hits a call answers it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the fault says, or pass on."""
        call = identify(environ)
        if call is None:
            return self._app(environ, start_response)
        with self._lock:
            self.calls[f"{call.service}:{call.operation}"] += 1
            fault = next((f for f in self.faults if f.hits(call)), None)
        if fault is None:
            return self._app(environ, start_response)
        if fault.kind == "timeout":
            time.sleep(fault.seconds)
        if fault.kind in ("timeout", "dropped"):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if fault.kind == "malformed":
            start_response("200 OK", [("Content-Type", "text/xml")])
            return [b"<html><body>It works!"]
        status, codes, other = _ERRORS[fault.kind]
        return _error(call, status, codes.get(call.service, other), start_response)


def identify(environ: Environ) -> Call | None:
    """Return what a signed request asks for, None when unsigned; the body stays readable."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not found:
        return None
    access_key, region, service = found.groups()
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        operation = target.rpartition(".")[2]
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
    return Call(access_key, region, service, operation)


def _error(call: Call, status: int, code: str, start_response: StartResponse) -> Iterable[bytes]:
    message = f"simulated: {call.operation}"
    if call.service == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message>"
            "</Error></Errors><RequestID>simulated</RequestID></Response>"
        )
        kind = "text/xml"
    elif call.service == "sts":
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error>"
            "<RequestId>simulated</RequestId></ErrorResponse>"
        )
        kind = "text/xml"
    else:
        text, kind = json.dumps({"__type": code, "message": message}), "application/x-amz-json-1.1"
    start_response(f"{status} simulated", [("Content-Type", kind)])
    return [text.encode()]
