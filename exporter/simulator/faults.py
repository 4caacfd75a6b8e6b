"""Faults on purpose, in front of every simulated service; and a count of every call."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from exporter.simulator import errors
from exporter.simulator.call import App, Call, Environ, StartResponse, identify, respond, with_body
from exporter.simulator.state import World
from exporter.simulator.wire import Api, api

KINDS = (*sorted(errors.KINDS), "timeout", "dropped", "malformed", "empty_page")
# A token that we gave with an empty page: the real pages follow.
_OURS = "simulated-empty-page"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and where: an empty field means everywhere.

    `account` is the caller's, of AssumeRole the role's. `seconds` is how long a timeout takes.
    The fault ends by itself after `duration` seconds, and after `times` calls that it hit.
    """

    kind: str
    service: str = ""
    operation: str = ""
    account: str = ""
    region: str = ""
    seconds: float = 60.0
    duration: float | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no kind of fault: {self.kind}; there are {', '.join(KINDS)}")

    def hits(self, call: Call) -> bool:
        """Whether the fault is meant for the call."""
        service = "elbv2" if self.service == "elasticloadbalancing" else self.service
        return (
            service in ("", call.service)
            and self.operation in ("", call.operation)
            and self.account in ("", call.account)
            and self.region in ("", call.region)
        )


class Faults:
    """WSGI middleware: the first fault that hits a call answers it."""

    def __init__(self, app: App, world: World, latency: float = 0.0) -> None:
        self._app = app
        self._world = world
        self._latency = latency
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._since = 0.0
        self._hits: Counter[int] = Counter()
        # Set when the faults change: whoever hangs in a timeout goes on.
        self._changed = threading.Event()
        self.calls: Counter[str] = Counter()
        self.calls_by_scope: Counter[str] = Counter()

    @property
    def faults(self) -> list[Fault]:
        """The faults that are in force."""
        with self._lock:
            return [f for i, f in enumerate(self._faults) if self._lasts(i, f)]

    @faults.setter
    def faults(self, faults: list[Fault]) -> None:
        with self._lock:
            self._faults = list(faults)
            self._since = time.monotonic()
            self._hits.clear()
            self._changed.set()
            self._changed = threading.Event()

    def stop(self) -> None:
        """End every timeout that hangs."""
        self.faults = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the fault says, or pass on."""
        call = identify(self._world, environ)
        if call is None:
            return self._app(environ, start_response)
        if self._latency:
            time.sleep(self._latency)
        environ = _without_our_token(environ, call)
        fault, changed = self._counted(call)
        if fault is None:
            return self._app(environ, start_response)
        if fault.kind == "timeout":
            changed.wait(fault.seconds)
        if fault.kind in ("timeout", "dropped"):
            # What is written after this goes nowhere, which the server knows how to bear.
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return respond(start_response, b"", "text/plain")
        service = api(call.service)
        if fault.kind == "malformed":
            return respond(start_response, _malformed(service), service.content_type)
        if fault.kind == "empty_page":
            page = None if _token(service, call) else service.empty_page(call.operation, _OURS)
            if page is None:
                return self._app(environ, start_response)
            return respond(start_response, page, service.content_type)
        error = errors.error_of(fault.kind, call)
        # What answers a HEAD has no body, not even an error.
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else service.error(error)
        return respond(start_response, body, service.content_type, error.status)

    def _counted(self, call: Call) -> tuple[Fault | None, threading.Event]:
        with self._lock:
            name = f"{call.service}:{call.operation}"
            self.calls[name] += 1
            self.calls_by_scope[f"{name}:{call.account}:{call.region}"] += 1
            for i, fault in enumerate(self._faults):
                if self._lasts(i, fault) and fault.hits(call):
                    self._hits[i] += 1
                    return fault, self._changed
            return None, self._changed

    def _lasts(self, i: int, fault: Fault) -> bool:
        young = fault.duration is None or time.monotonic() < self._since + fault.duration
        return young and (fault.times is None or self._hits[i] < fault.times)


def _malformed(service: Api) -> bytes:
    """Return what a proxy might say, or an answer that breaks off."""
    if service.protocol == "json":
        return b'{"NextToken": "x", '
    return b"<html><body>It works!"


def _token(service: Api, call: Call) -> str:
    """Return the token that a call gives; empty without."""
    name = service.token_in(call.operation)
    if name is None:
        return ""
    if service.protocol == "json":
        return str(json.loads(call.body or b"{}").get(name) or "")
    return dict(parse_qsl(call.body.decode())).get(name, "")


def _without_our_token(environ: Environ, call: Call) -> Environ:
    """Return the request as it was before our empty page."""
    if _OURS.encode() not in call.body:
        return environ
    service = api(call.service)
    name = service.token_in(call.operation)
    if service.protocol == "json":
        request = {k: v for k, v in json.loads(call.body).items() if k != name}
        return with_body(environ, json.dumps(request).encode())
    pairs = [(k, v) for k, v in parse_qsl(call.body.decode(), True) if k != name]
    return with_body(environ, urlencode(pairs).encode())
