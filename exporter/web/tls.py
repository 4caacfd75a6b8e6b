"""TLS settings into the context that new connections get, and who may connect with it."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from exporter.strictyaml import Loc, Several
from exporter.web.ciphers import CURVES, SUITES, VERSIONS

_CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN (?P<kind>(?:\w+ )*)PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class Tls:
    """What a connection is served with; `allowed_sans` is empty when any name will do."""

    context: ssl.SSLContext
    allowed_sans: frozenset[str]

    def allows(self, certificate: Any) -> bool:
        """Whether a client with this certificate may go on; as `SSLObject.getpeercert` has it.

        Without a certificate it may: whether one is required is the context's affair.
        """
        if not self.allowed_sans or not certificate:
            return True
        return not self.allowed_sans.isdisjoint(_names(certificate))


def _names(certificate: Any) -> Iterator[str]:
    """The subject alternative names (RFC 5280 §4.2.1.6), addresses as they are usually written."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            yield str(ip_address(name.strip()))
        elif kind in ("DNS", "email", "URI"):
            yield name


@dataclass(frozen=True, slots=True)
class Material:
    """A PEM text and the key of the configuration that it stands under."""

    loc: Loc
    text: bytes
    name: str


def read(directory: Path, file: str | None, text: str | None, key: str) -> Material | None:
    """Return what a file, or the text given in its place, holds; None when neither is given.

    Raises Several when the file cannot be read.
    """
    if text is not None:
        return Material((key,), text.encode(), f"the text of {key}")
    if file is None:
        return None
    loc = (f"{key}_file",)
    try:
        return Material(loc, (directory / file).read_bytes(), file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Several([(loc, f"cannot read {directory / file}: {reason}")]) from None


def context(
    certificate: Material,
    key: Material,
    authorities: Material | None,
    verify: ssl.VerifyMode,
    versions: tuple[str, str],
    suites: Iterable[str],
    curves: tuple[str, ...],
    prefer_server: bool,
) -> ssl.SSLContext:
    """Return a server's context; `versions` are the least and the greatest, in Go's names.

    Raises Several with the reason when OpenSSL cannot use the material.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        # TLS 1.0 and 1.1 are deprecated; whoever names them here knows.
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version, made.maximum_version = (VERSIONS[v] for v in versions)
    chosen = ":".join(SUITES[s] for s in suites if s in SUITES)
    if versions[0] in ("TLS10", "TLS11"):
        # Their signatures are of SHA-1, which OpenSSL 3 allows on its lowest level only.
        made.set_ciphers(f"{chosen or 'DEFAULT'}:@SECLEVEL=0")
    elif chosen:
        made.set_ciphers(chosen)
    if prefer_server:
        made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    made.options |= ssl.OP_NO_RENEGOTIATION
    made.set_alpn_protocols(["http/1.1"])
    if curves:
        made.set_ecdh_curve(CURVES[curves[0]])
    _identify(made, certificate, key)
    if authorities:
        _trust(made, authorities)
    made.verify_mode = verify
    return made


def _identify(made: ssl.SSLContext, certificate: Material, key: Material) -> None:
    """Load the server's own certificate and key."""
    wrong: list[tuple[Loc, str]] = []
    if not _CERTIFICATE.search(certificate.text):
        wrong.append((certificate.loc, f"{certificate.name} holds no certificate in PEM"))
    kind = _KEY.search(key.text)
    if not kind:
        wrong.append((key.loc, f"{key.name} holds no private key in PEM"))
    elif b"ENCRYPTED" in kind["kind"] or b"Proc-Type: 4,ENCRYPTED" in key.text:
        wrong.append((key.loc, f"{key.name} is encrypted; write the key without a passphrase"))
    if wrong:
        raise Several(wrong)
    try:
        with _file(certificate.text) as chain, _file(key.text) as private:
            # Never ask a terminal for a passphrase.
            made.load_cert_chain(chain, private, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", "") or ""
        if reason == "KEY_VALUES_MISMATCH":
            said = f"{key.name} is not the key of the certificate"
        elif reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
            said = f"{certificate.name} is too weak for OpenSSL ({reason}); use RSA 2048 or P-256"
        else:
            said = f"{certificate.name} and {key.name} cannot be used: {reason or 'malformed'}"
        loc = key.loc if reason == "KEY_VALUES_MISMATCH" else certificate.loc
        raise Several([(loc, said)]) from None


def _trust(made: ssl.SSLContext, authorities: Material) -> None:
    """Load the authorities that clients' certificates come from."""
    try:
        if not _CERTIFICATE.search(authorities.text):
            raise ValueError("no certificate in PEM")
        made.load_verify_locations(cadata=authorities.text.decode("ascii", "replace"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Several([(authorities.loc, f"{authorities.name} holds no CA: {reason}")]) from None


@contextmanager
def _file(text: bytes) -> Iterator[str]:
    """Yield a path under which OpenSSL reads the text: it takes certificates from files only.

    In memory where the system can, so that a key never reaches a disk, and neither is there a
    need for one that can be written to.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("pem")
        try:
            os.write(descriptor, text)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            yield file.name
