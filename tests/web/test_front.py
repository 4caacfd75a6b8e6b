"""What is logged of an address that strangers reach."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.web.front import Exposure
from exporter.web.webconfig import parse
from tests.web.certificates import Authority
from tests.web.serving import TLS, users

PASSWORD = users(alice="sesame")
MUTUAL = TLS % ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
IF_GIVEN = TLS % ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem"

WARNINGS = {
    "nothing": ("", "there is no authentication"),
    "TLS alone": (TLS % "", "there is no authentication"),
    "certificates if given": (IF_GIVEN, "there is no authentication"),
    "passwords alone": (PASSWORD, "passwords travel in the clear"),
    "passwords over TLS": (TLS % "" + PASSWORD, None),
    "certificates": (MUTUAL, None),
    "both": (MUTUAL + PASSWORD, None),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("front")
    authority = Authority()
    authority.sign("server").write(made, "server")
    (made / "ca.pem").write_bytes(authority.pem)
    return made


@pytest.mark.parametrize(("text", "warning"), WARNINGS.values(), ids=WARNINGS.keys())
def test_what_is_open_is_said(text: str, warning: str | None, directory: Path) -> None:
    """It is warned of who can read or listen, once; on loopback there is nobody to warn of."""
    current = parse(text, "w", directory)
    with capture_logs() as logged:
        exposure = Exposure(loopback=False)
        exposure.tell(current)
        exposure.tell(current)
        Exposure(loopback=True).tell(current)
    assert len(logged) == (warning is not None)
    assert all(str(warning) in entry["event"] for entry in logged)


def test_what_becomes_open_is_said(directory: Path) -> None:
    """A change that takes the password away is warned of when it happens."""
    exposure = Exposure(loopback=False)
    with capture_logs() as logged:
        exposure.tell(parse(TLS % "" + PASSWORD, "w", directory))
        exposure.tell(parse(TLS % "", "w", directory))
    assert ["there is no authentication" in entry["event"] for entry in logged] == [True]


def test_tls_settings_reach_the_context(directory: Path) -> None:
    """Versions, suites, preference and the demand for a certificate are those of the file."""
    found = parse(
        TLS % ", min_version: TLS12, max_version: TLS12, prefer_server_cipher_suites: false, "
        "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
        "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]",
        "w",
        directory,
    ).tls
    assert found is not None
    context = found.context
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    named = {cipher["name"] for cipher in context.get_ciphers()}
    assert {name for name in named if not name.startswith("TLS_")} == {
        "ECDHE-ECDSA-AES256-GCM-SHA384"
    }
    default = parse(TLS % "", "w", directory).tls
    assert default is not None
    assert default.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert default.context.maximum_version == ssl.TLSVersion.TLSv1_3
    assert default.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert default.context.verify_mode == ssl.CERT_NONE
