"""The simulated AWS over HTTP: most services from the world's rows, the rest from moto.

Beside AWS's own operations there are IMDS under `/latest/`, and `/_simulator/` for tests.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from moto.logs import logs_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from exporter.simulator import athena, buckets, ec2, elbv2, errors, insights, organizations, trail
from exporter.simulator.call import (
    Call,
    Environ,
    StartResponse,
    identify,
    respond,
    respond_json,
)
from exporter.simulator.clock import Clock
from exporter.simulator.control import Control
from exporter.simulator.dns import DnsServers
from exporter.simulator.faults import Faults
from exporter.simulator.imds import Imds
from exporter.simulator.state import PUBLIC, Row, Where, World
from exporter.simulator.wire import AwsError, api


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]  # moto ships no types
    def log_request(self, *_: object) -> None:
        """Say nothing: the calls are counted."""

    def log_error(self, *_: object) -> None:
        """Say nothing: a client that goes away is no error here."""


def _cloudtrail(world: World, call: Call, request: Row) -> Row:
    if call.operation != "LookupEvents":
        raise AwsError("UnsupportedOperationException", f"not simulated: {call.operation}")
    return trail.lookup_events(world, call.where, request)


# What is answered from the world's rows; everything else is moto's.
_SERVICES: dict[str, Callable[[World, Call, Row], Row]] = {
    "ec2": lambda w, c, r: ec2.answer(w, c.where, c.operation, r),
    "elbv2": lambda w, c, r: elbv2.answer(w, c.where, c.operation, r),
    "cloudtrail": _cloudtrail,
    "organizations": lambda w, c, r: organizations.answer(w, c.where, c.operation, r),
}


_QUEUE_URL = re.compile(rb'"QueueUrl"\s*:\s*"[^"]*/(\d{12})/[^"/]+"')


class Simulator:
    """A running simulated AWS: `url` for AWS_ENDPOINT_URL, resolvers on 127.0.0.1.

    `dns_port` is the public resolver's, `dns_ports` are those of the VPCs. `latency` is how many
    seconds each call takes at least, `late` how likely a line of a flow log is late.
    """

    def __init__(
        self,
        world: World,
        speed: float = 60.0,
        seed: int = 1,
        latency: float = 0.0,
        late: float = 0.0,
    ) -> None:
        self.world = world
        self.clock = Clock(world, speed, seed, late)
        self.faults = Faults(self._aws, world, latency)
        self._insights = insights.Insights(self.clock.deliveries.lock)
        self._athena = athena.Athena(self.clock.deliveries.buckets)
        self._control = Control(world, self.faults, self.clock)
        self._imds = Imds(world)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._dns = DnsServers(world)
        self._server = make_server(
            "127.0.0.1", 0, self._route, threaded=True, request_handler=_QuietHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.dns_port = 0
        self.dns_ports: dict[str, int] = {}
        buckets.create(world)
        self.clock.deliveries.notifications.create()
        for (account, region), groups in world.log_groups.items():
            backend = logs_backends[account][region]
            for group in groups:
                if group not in backend.groups:
                    backend.create_log_group(group, {})

    def start(self, clock: bool = True) -> None:
        """Begin to answer, and with `clock` to make traffic."""
        self._dns.start()
        self.dns_ports = dict(self._dns.ports)
        self.dns_port = self.dns_ports.pop(PUBLIC)
        # How often it looks whether it has to stop.
        serve = partial(self._server.serve_forever, poll_interval=0.02)
        threading.Thread(target=serve, name="aws", daemon=True).start()
        self.clock.running = clock
        self.clock.start()

    def resolvers(self) -> list[Row]:
        """Return the VPCs' resolvers as a configuration lists them."""
        return [
            {"address": f"127.0.0.1:{port}", "vpcs": [vpc]} for vpc, port in self.dns_ports.items()
        ]

    def queues(self) -> list[str]:
        """Return the URLs of the queues that are told of new flow-log files."""
        return self.clock.deliveries.notifications.urls(self.url)

    def stop(self) -> None:
        """End, and leave nothing in moto, whose state belongs to the whole process."""
        self.clock.stop()
        self.faults.stop()
        self._server.shutdown()
        self._server.server_close()
        self._dns.stop()
        self.clock.deliveries.notifications.drop()
        buckets.drop(self.world)
        for (account, region), groups in self.world.log_groups.items():
            for group in groups:
                logs_backends[account][region].groups.pop(group, None)

    def _route(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_simulator/"):
            return self._steer(path.removeprefix("/_simulator/"), environ, start_response)
        if path.startswith("/latest/"):
            return self._imds(environ, start_response)
        return self.faults(environ, start_response)

    def _aws(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        call = identify(self.world, environ)
        if call is None:
            return respond(start_response, b"unsigned\n", "text/plain", 403)
        if call.service in _SERVICES:
            return self._rows(call, start_response)
        if call.service == "logs" and call.operation in insights.OPERATIONS:
            return self._own(call, start_response, self._insights.answer)
        if call.service == "athena" and call.operation in athena.OPERATIONS:
            return self._own(call, start_response, self._athena.answer)
        if call.role_arn and self.world.roles and call.role_arn not in self.world.roles:
            error, sts = errors.error_of("denied", call), api("sts")
            return respond(start_response, sts.error(error), sts.content_type, error.status)
        queue = _QUEUE_URL.search(call.body) if call.service == "sqs" else None
        if queue:
            # A queue's URL says whose it is; with a policy another account may use it.
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = queue.group(1).decode()
        elif call.access_key in self.world.keys:
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.caller
        answer: Iterable[bytes]
        if call.service == "s3":
            with self.clock.deliveries.buckets.lock:
                answer = self._moto(environ, start_response)
        else:
            answer = self._moto(environ, start_response)
        return answer

    def _own(
        self, call: Call, start_response: StartResponse, answer: Callable[[Where, str, Row], Row]
    ) -> Iterable[bytes]:
        """Answer, for one of moto's services, what moto does not."""
        service = api(call.service)
        try:
            found = answer(call.where, call.operation, service.parse(call.operation, call.body))
        except AwsError as error:
            return respond(start_response, service.error(error), service.content_type, error.status)
        body = service.answer(call.operation, found)
        return respond(start_response, body, service.content_type)

    def _rows(self, call: Call, start_response: StartResponse) -> Iterable[bytes]:
        service = api(call.service)
        try:
            request = service.parse(call.operation, call.body)
            with self.world.lock:
                answer = _SERVICES[call.service](self.world, call, request)
                body = service.answer(call.operation, answer)
        except AwsError as error:
            return respond(start_response, service.error(error), service.content_type, error.status)
        return respond(start_response, body, service.content_type)

    def _steer(self, what: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request: Any = json.loads(body) if body else None
        known = self._control.answers
        if what not in known:
            return respond(start_response, f"{', '.join(known)}\n".encode(), "text/plain", 404)
        try:
            return respond_json(start_response, known[what](request))
        except (KeyError, TypeError, ValueError) as error:
            return respond_json(start_response, {"error": str(error)}, 400)
