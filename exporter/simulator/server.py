"""The simulated AWS over HTTP: EC2 from the world's rows, STS and CloudWatch Logs from moto.

Beside AWS's own operations there is `/_simulator/`: calls, faults, truth, clock; for tests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from moto.iam.models import get_account_id_from
from moto.logs import logs_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from exporter.simulator import ec2
from exporter.simulator.clock import Clock
from exporter.simulator.dns import DnsServer
from exporter.simulator.faults import Environ, Fault, Faults, StartResponse, identify
from exporter.simulator.world import World


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]  # moto ships no types
    def log_request(self, *_: object) -> None:
        """Say nothing: the calls are counted."""

    def log_error(self, *_: object) -> None:
        """Say nothing: a client that goes away is no error here."""


class Simulator:
    """A running simulated AWS: `url` for AWS_ENDPOINT_URL, `dns_port` on 127.0.0.1."""

    def __init__(self, world: World, speed: float = 60.0, seed: int = 1) -> None:
        self.world = world
        self.clock = Clock(world, speed, seed)
        self.faults = Faults(self._aws)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._dns = DnsServer(world)
        self._server = make_server(
            "127.0.0.1", 0, self._route, threaded=True, request_handler=_QuietHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.dns_port = 0
        for (account, region), groups in world.log_groups.items():
            for group in groups:
                logs_backends[account][region].create_log_group(group, {})

    def start(self, clock: bool = True) -> None:
        """Begin to answer, and with `clock` to make traffic."""
        self.dns_port = self._dns.start()
        # How often it looks whether it has to stop.
        serve = partial(self._server.serve_forever, poll_interval=0.02)
        threading.Thread(target=serve, name="aws", daemon=True).start()
        self.clock.running = clock
        self.clock.start()

    def stop(self) -> None:
        """End, and leave nothing in moto, whose state belongs to the whole process."""
        self.clock.stop()
        self._server.shutdown()
        self._server.server_close()
        for (account, region), groups in self.world.log_groups.items():
            for group in groups:
                logs_backends[account][region].groups.pop(group, None)

    def _route(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_simulator/"):
            return self._control(path.removeprefix("/_simulator/"), environ, start_response)
        return self.faults(environ, start_response)

    def _aws(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        call = identify(environ)
        if call is None:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"unsigned\n"]
        account = self.world.keys.get(call.access_key) or get_account_id_from(call.access_key)
        if call.service == "ec2":
            return self._ec2(account, call.region, environ, start_response)
        if call.access_key in self.world.keys:
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer

    def _ec2(
        self, account: str, region: str, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        parameters = dict(parse_qsl(environ["wsgi.input"].read().decode(), keep_blank_values=True))
        status = "200 OK"
        try:
            with self.world.lock:
                text = ec2.answer(self.world.tables.get((account, region), {}), parameters)
        except ec2.Ec2Error as error:
            status, text = "400 Bad Request", ec2.error_xml(error)
        start_response(status, [("Content-Type", "text/xml;charset=UTF-8")])
        return [text.encode()]

    def _control(
        self, what: str, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request: Any = json.loads(body) if body else None
        answer: Any
        if what == "calls":
            answer = dict(self.faults.calls)
        elif what == "truth":
            answer = self.clock.truth()
        elif what == "clock":
            self.clock.running = request["running"]
            answer = {"running": self.clock.running}
        elif what == "faults":
            if request is not None:
                self.faults.faults = [Fault(**fault) for fault in request]
            answer = [asdict(fault) for fault in self.faults.faults]
        else:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"calls, truth, clock, faults\n"]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]
