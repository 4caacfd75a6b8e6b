"""The exporter as a process over TLS and behind passwords, and what changes while it runs."""

from __future__ import annotations

import signal
import ssl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from exporter.healthcheck import problem
from tests.harness import free_port, prometheus, until
from tests.web.certificates import Authority, serial
from tests.web.serving import ALICE, TLS, Serving, serving, users

TLS11, TLS12, TLS13 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
MUTUAL = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
BAD_PASSWORD = ("alice", "wrong")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An exporter over TLS for alice alone, for the tests that change nothing."""
    web = (
        TLS % ""
        + users(alice="sesame", bob="mellon")
        + "http_server_config: {headers: {X-Frame-Options: deny, X-XSS-Protection: ''}}\n"
    )
    with serving(tmp_path_factory.mktemp("secured"), web) as running:
        yield running


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/reload", "/nothing"])
def test_everything_is_behind_the_password(secured: Serving, path: str) -> None:
    """Without the password nothing is served, whatever the path; the answer asks for it."""
    with secured.client() as client:
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Basic realm="')
        assert answer.headers["x-frame-options"] == "deny"
        assert "x-xss-protection" not in answer.headers
        assert client.get(path, auth=BAD_PASSWORD).status_code == 401
        assert client.get(path, auth=("carol", "sesame")).status_code == 401
    assert secured.status(ALICE, path=path) != 401
    assert secured.status(("bob", "mellon"), path=path) != 401


def test_versions(secured: Serving) -> None:
    """TLS 1.2 and 1.3 are spoken, older versions and plain HTTP are not."""
    for version in (TLS12, TLS13):
        with secured.client(ALICE, versions=(version, version)) as client:
            answer = client.get("/metrics")
            assert answer.status_code == 200
            assert answer.extensions["http_version"] == b"HTTP/1.1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what is tested
        for old in (ssl.TLSVersion.TLSv1, TLS11):
            context = secured.trusting(versions=(old, old))
            context.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"https://localhost:{secured.port}/", verify=context)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{secured.port}/")


def test_an_older_version_when_it_is_wanted(tmp_path: Path) -> None:
    """With min_version TLS11 a client of TLS 1.1 is served, on its old ciphers."""
    with (
        serving(tmp_path, TLS % ", min_version: TLS11") as running,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)
        context = running.trusting(versions=(TLS11, TLS11))
        context.set_ciphers("ALL:@SECLEVEL=0")
        with httpx.Client(verify=context, base_url=f"https://localhost:{running.port}") as client:
            assert client.get("/metrics").status_code == 200


def test_health_check(secured: Serving) -> None:
    """The container's health check takes a demand for a password for an answer."""
    assert problem(secured.port) is None
    assert problem(free_port()) is not None


def test_changes_without_restart(tmp_path: Path) -> None:
    """Certificate, authorities, versions, names and users change for the next connection."""
    with serving(tmp_path, TLS % "" + users(alice="sesame")) as running:
        known = running.authority.sign("client", client=True)
        with running.client(ALICE) as open_before:
            assert open_before.get("/metrics").status_code == 200

            # The certificate, renewed in place.
            renewed = running.authority.sign("server")
            renewed.write(tmp_path, "server")
            until(lambda: running.serial() == serial(renewed.certificate))

            # Users: also for requests on a connection that was open.
            running.configure(TLS % "" + users(alice="changed", bob="mellon"))
            until(lambda: running.status(("bob", "mellon")) == 200)
            assert running.status(ALICE) == 401
            assert open_before.get("/metrics").status_code == 401
            assert open_before.get("/metrics", auth=("alice", "changed")).status_code == 200

        # Versions, in both directions.
        running.configure(TLS % ", min_version: TLS13")

        def newest() -> str:
            try:
                with running.client(versions=(TLS12, TLS12)) as client:
                    return str(client.get("/metrics").status_code)
            except httpx.ConnectError:
                return "refused"

        until(lambda: newest() == "refused")
        assert running.status() == 200
        running.configure(TLS % "")
        until(lambda: newest() == "200")

        # Whose clients: nobody's, the authority's, another's, and nobody's again.
        running.configure(TLS % MUTUAL)
        until(lambda: running.status() == "refused")
        assert running.status(pair=known) == 200
        other = Authority("other")
        stranger = other.sign("client", client=True)
        assert running.status(pair=stranger) == "refused"
        assert running.status(pair=running.authority.sign("server")) == "refused"  # no client's
        assert problem(running.port) is None
        (tmp_path / "ca.pem").write_bytes(other.pem)
        until(lambda: running.status(pair=stranger) == 200)
        assert running.status(pair=known) == "refused"

        # Of these only who has one of the names.
        sans = ", client_allowed_sans: [prometheus.example.com, 192.0.2.9, 'urn:x:1']"
        running.configure(TLS % (MUTUAL + sans))
        until(lambda: running.status(pair=stranger) == "refused")
        for name in (
            x509.DNSName("prometheus.example.com"),
            x509.UniformResourceIdentifier("urn:x:1"),
        ):
            named = other.sign("client", x509.DNSName("other.example.com"), name, client=True)
            assert running.status(pair=named) == 200
        if_given = MUTUAL.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
        running.configure(TLS % if_given)
        until(lambda: running.status() == 200)
        assert running.status(pair=stranger) == 200
        assert running.status(pair=known) == "refused"

        # And plain HTTP, which the old connections' clients are told of by being refused.
        running.configure("")
        until(lambda: running.running.alive())
        assert running.status() == "refused"
        assert problem(running.port) is None


def test_a_broken_change_is_refused(tmp_path: Path) -> None:
    """The old settings stay in force, it is logged once, and the metric says so until mended."""
    good = TLS % "" + users(alice="sesame")
    with serving(tmp_path, good) as running:
        assert running.reloaded(ALICE) == 1
        running.configure(good.replace("server.pem", "none.pem"))
        until(lambda: running.reloaded(ALICE) == 0)
        (tmp_path / "server.key").write_text("rubbish")
        running.configure(good)
        until(lambda: "holds no private key" in running.running.log.read_text())
        until(lambda: running.reloaded(ALICE) == 0)
        refusals = running.running.log.read_text().count("web configuration refused")
        assert refusals == 2  # one of each: not one for every look at the files
        running.authority.sign("server").write(tmp_path, "server")
        until(lambda: running.reloaded(ALICE) == 1)
        assert running.status() == 401


def test_reload(tmp_path: Path) -> None:
    """SIGHUP and POST read both files; a bad one is refused with its errors, and stays out."""
    config = tmp_path / "config.yaml"
    config.write_text("collectors: {inventory: {interval: 60s}}\n")
    arguments = (f"--config.file={config}", "--web.enable-lifecycle")
    with serving(tmp_path, users(alice="sesame"), *arguments) as running:
        running_url = running.running.url
        assert "passwords travel" not in running.running.log.read_text()  # this is loopback

        def post(method: str = "POST", **headers: str) -> httpx.Response:
            return httpx.request(method, f"{running_url}/-/reload", auth=ALICE, headers=headers)

        def gauge() -> float:
            text = httpx.get(f"{running_url}/metrics", auth=ALICE).text
            return float(
                text.partition("\nprivatelink_exporter_config_last_reload_successful ")[2][:3]
            )

        assert httpx.post(f"{running_url}/-/reload").status_code == 401
        assert post().text == "Reloaded.\n"
        assert post("PUT").status_code == 200
        assert post("GET").status_code == 405
        for browser in (
            {"origin": running_url},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-origin"},
        ):
            assert post(**browser).status_code == 403
        assert gauge() == 1

        config.write_text("colectors: {}\nstorage: {path: 3}\n")
        refused = post()
        assert refused.status_code == 500
        _, *errors = refused.text.splitlines()
        assert errors[0].startswith(f"{config}:1: colectors: unknown key")
        assert errors[1].startswith(f"{config}:2: storage.path:")
        until(lambda: gauge() == 0)

        config.write_text("storage: {path: ./elsewhere}\n")
        running.running.process.send_signal(signal.SIGHUP)
        until(lambda: gauge() == 1)

        config.write_text("- nonsense\n")
        running.running.process.send_signal(signal.SIGHUP)
        until(lambda: gauge() == 0)
        # The web configuration is read again in the same go, and whole beside the broken one.
        running.configure(users(alice="sesame", bob="mellon"))
        assert post().status_code == 500
        assert httpx.get(f"{running_url}/metrics", auth=("bob", "mellon")).status_code == 200
        config.write_text("")
        assert post().status_code == 200
        until(lambda: gauge() == 1)
        running.configure("basic_auth_users: {alice: sesame}\n")
        assert f"{tmp_path / 'web.yml'}:1: basic_auth_users.alice: not a bcrypt" in post().text
        until(lambda: gauge() == 0)
        assert running.running.stop() == 0


def test_reload_over_http_is_off(secured: Serving) -> None:
    """Without the flag a POST changes nothing, and the answer names the flag; SIGHUP works."""
    with secured.client(ALICE) as client:
        for method in ("POST", "PUT"):
            refused = client.request(method, "/-/reload")
            assert refused.status_code == 403
            assert "--web.enable-lifecycle" in refused.text
    secured.running.process.send_signal(signal.SIGHUP)
    until(lambda: "configuration loaded again" in secured.running.log.read_text())


def test_prometheus(tmp_path: Path, program: Callable[[str], str]) -> None:
    """A real Prometheus scrapes with a password and a client certificate, as docs/web.md says."""
    with serving(tmp_path, TLS % MUTUAL + users(alice="sesame")) as running:
        running.authority.sign("prometheus", client=True).write(tmp_path, "prometheus")
        how = (
            "  scheme: https\n"
            "  basic_auth: {username: alice, password: sesame}\n"
            "  tls_config:\n"
            f"    ca_file: {tmp_path / 'ca.pem'}\n"
            f"    cert_file: {tmp_path / 'prometheus.pem'}\n"
            f"    key_file: {tmp_path / 'prometheus.key'}\n"
        )
        target = f"localhost:{running.port}"
        with prometheus(program("prometheus"), tmp_path, target, how) as query:
            until(lambda: query("up == 1"), timeout=60)
            assert query("privatelink_exporter_config_last_reload_successful == 1")
            running.configure(TLS % MUTUAL + users(alice="changed"))
            until(lambda: query("up == 0"), timeout=60)
