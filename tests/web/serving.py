"""The exporter behind a web configuration, and how its clients come to it."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx

from tests.harness import ExporterProcess, exporter, parse_series, select, until
from tests.web.certificates import Authority, Pair, serial

RELOADED = "privatelink_exporter_config_last_reload_successful"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key%s}\n"
ALICE = ("alice", "sesame")


def users(**passwords: str) -> str:
    """Return the part of a web configuration that lets these users in, at the least cost."""
    hashes = {
        user: bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        for user, password in passwords.items()
    }
    return "basic_auth_users:\n" + "".join(f"  {user}: {h}\n" for user, h in hashes.items())


@dataclass
class Serving:
    """An exporter that sees no AWS, and the files it is served with."""

    running: ExporterProcess
    authority: Authority
    directory: Path

    @property
    def port(self) -> int:
        return int(self.running.url.rpartition(":")[2])

    def configure(self, text: str) -> None:
        """Put another web configuration in place, as a whole."""
        new = self.directory / "web.new"
        new.write_text(text)
        new.replace(self.directory / "web.yml")

    def trusting(
        self,
        pair: Pair | None = None,
        versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None,
    ) -> ssl.SSLContext:
        """Return a client's settings: it trusts the authority and may have a certificate."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        if pair:
            context.load_cert_chain(
                *pair.write(self.directory, f"client-{serial(pair.certificate)}")
            )
        if versions:
            context.minimum_version, context.maximum_version = versions
        return context

    def client(
        self,
        auth: tuple[str, str] | None = None,
        pair: Pair | None = None,
        versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None,
    ) -> httpx.Client:
        """Return a client that comes over TLS."""
        return httpx.Client(
            base_url=f"https://localhost:{self.port}",
            verify=self.trusting(pair, versions),
            auth=auth,
            timeout=10,
        )

    def status(
        self, auth: tuple[str, str] | None = None, pair: Pair | None = None, path: str = "/metrics"
    ) -> int | str:
        """Return the status that a new connection gets, or `refused`."""
        with self.client(auth, pair) as client:
            try:
                return client.get(path).status_code
            except httpx.TransportError:
                return "refused"

    def serial(self) -> int:
        """Return the serial number of the certificate that a new connection is shown."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            self.trusting().wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
            assert shown
            return serial(shown)

    def reloaded(self, auth: tuple[str, str] | None = None) -> float:
        """Return whether the last reload was successful, as the metrics have it."""
        with self.client(auth) as client:
            series = parse_series(client.get("/metrics").raise_for_status().text)
        (value,) = select(series, RELOADED).values()
        return value


@contextmanager
def serving(directory: Path, web: str, *arguments: str) -> Iterator[Serving]:
    """Run the exporter with a web configuration beside `server.pem`, its key and `ca.pem`."""
    authority = Authority()
    authority.sign("server").write(directory, "server")
    (directory / "ca.pem").write_bytes(authority.pem)
    (directory / "web.yml").write_text(web)
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "unused",
        "AWS_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    flag = f"--web.config.file={directory / 'web.yml'}"
    with exporter(environment, directory, flag, *arguments) as running:
        until(lambda: "msg=listening" in running.log.read_text() or running.process.poll())
        assert running.process.poll() is None, running.log.read_text()
        yield Serving(running, authority, directory)
        assert "Traceback" not in running.log.read_text()
