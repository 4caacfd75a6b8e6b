"""The web configuration file: TLS, users and headers, in the format that exporters share.

https://prometheus.io/docs/prometheus/latest/configuration/https/ describes it. What of it this
server cannot honour is an error, never silently something weaker; docs/web.md lists it.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, model_validator

from exporter import strictyaml
from exporter.strictyaml import Loc, Model, Several
from exporter.web import tls
from exporter.web.ciphers import CURVES, SUITES, SUITES_OF_TLS13, VERSIONS
from exporter.web.tls import Tls

# A comparison takes 70 ms at 10 and twice as long with each more: at 15 about two seconds.
HIGHEST_COST = 15
_HASH = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}")

CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    # A certificate that nobody verifies says nothing: not asking for it comes to the same.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = ("RequireAnyClientCert", "RequireClientCert")

# Each header that may be set, with the values it may have; none listed: any.
HEADERS: dict[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}


def _client_auth(value: str) -> str | None:
    """What is wrong with a `client_auth_type`; None when nothing is."""
    if value in _UNVERIFIED:
        return (
            f"{value} takes any certificate, also one its bearer made up; this server verifies "
            "those it asks for. Write RequireAndVerifyClientCert, with client_ca_file"
        )
    return _unknown(value, CLIENT_AUTH)


def _unknown(value: str, known: Iterable[str]) -> str | None:
    return None if value in known else f"not known; write one of {', '.join(known)}"


def _user(value: str) -> str:
    # RFC 7617 §2: a name with a colon cannot be told from the password.
    if not value or ":" in value:
        raise ValueError("a user's name is not empty and has no colon")
    return value


def _no_rate_limit(_: Any) -> None:
    raise ValueError(
        "not supported: connections and logins are bounded by themselves. Remove the key"
    )


def _bcrypt(value: str) -> str:
    """The hash is never repeated in what is said of it."""
    match = _HASH.fullmatch(value)
    if not match:
        raise ValueError("not a bcrypt hash; make one: htpasswd -nBC 10 USER")
    if not 4 <= int(match["cost"]) <= HIGHEST_COST:
        raise ValueError(
            f"the cost {int(match['cost'])} is not between 4 and {HIGHEST_COST}; 10 to 12 is usual"
        )
    return value


Hash = Annotated[str, AfterValidator(_bcrypt)]
User = Annotated[str, AfterValidator(_user)]


class TlsServer(Model):
    """`tls_server_config`; without a certificate and a key there is no TLS."""

    cert_file: str | None = None
    key_file: str | None = None
    cert: str | None = None
    key: str | None = Field(default=None, repr=False)
    client_auth_type: str = "NoClientCert"
    client_ca_file: str | None = None
    client_ca: str | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    _made: Tls | None = PrivateAttr(None)

    @property
    def made(self) -> Tls | None:
        """What connections are served with; None without TLS."""
        return self._made

    @model_validator(mode="after")
    def _make(self, info: ValidationInfo) -> TlsServer:
        if not self.model_fields_set:
            return self
        wrong = [*self._unknown(), *self._incomplete(), *self._impossible()]
        directory: Path = (info.context or {})["directory"]
        material: dict[str, tls.Material | None] = {}
        for name in ("cert", "key", "client_ca"):
            try:
                material[name] = tls.read(
                    directory, getattr(self, f"{name}_file"), getattr(self, name), name
                )
            except Several as error:
                wrong += error.found
        certificate, key = material.get("cert"), material.get("key")
        if wrong or certificate is None or key is None:
            raise Several(wrong)
        context = tls.context(
            certificate,
            key,
            material["client_ca"],
            CLIENT_AUTH[self.client_auth_type],
            (self.min_version, self.max_version),
            self.cipher_suites,
            self.curve_preferences,
            self.prefer_server_cipher_suites,
        )
        self._made = Tls(context, frozenset(self.client_allowed_sans))
        return self

    def _unknown(self) -> list[tuple[Loc, str]]:
        """Names that are none of Go's."""
        said: list[tuple[Loc, str | None]] = [
            (("client_auth_type",), _client_auth(self.client_auth_type)),
            (("min_version",), _unknown(self.min_version, VERSIONS)),
            (("max_version",), _unknown(self.max_version, VERSIONS)),
        ]
        for i, suite in enumerate(self.cipher_suites):
            said.append((("cipher_suites", i), _unknown(suite, (*SUITES, *SUITES_OF_TLS13))))
        for i, curve in enumerate(self.curve_preferences):
            said.append((("curve_preferences", i), _unknown(curve, CURVES)))
        return [(loc, reason) for loc, reason in said if reason]

    def _incomplete(self) -> list[tuple[Loc, str]]:
        """What is missing, or there twice."""
        wrong: list[tuple[Loc, str]] = []
        for name in ("cert", "key", "client_ca"):
            file, text = getattr(self, f"{name}_file"), getattr(self, name)
            if file is not None and text is not None:
                wrong.append(((name,), f"given as {name}_file too; keep one of the two"))
            elif file is None and text is None and name != "client_ca":
                wrong.append(((f"{name}_file",), f"required for TLS (or inline: {name})"))
            elif file == "":
                wrong.append(((f"{name}_file",), "is empty; name a file or leave the key out"))
        if self.client_auth_type not in CLIENT_AUTH:
            return wrong
        authorities = self.client_ca is not None or self.client_ca_file is not None
        verified = CLIENT_AUTH[self.client_auth_type] != ssl.CERT_NONE
        if verified and not authorities:
            said = (
                f"{self.client_auth_type} needs client_ca_file: without it every certificate of a "
                "public authority would do"
            )
            wrong.append((("client_auth_type",), said))
        given = ("client_ca_file", "client_ca", "client_allowed_sans")
        said = "needs client_auth_type: RequireAndVerifyClientCert, or it does nothing"
        wrong += [((name,), said) for name in given if getattr(self, name) and not verified]
        return wrong

    def _impossible(self) -> list[tuple[Loc, str]]:
        """What cannot be had together, or not from this server."""
        wrong: list[tuple[Loc, str]] = []
        least, most = VERSIONS.get(self.min_version), VERSIONS.get(self.max_version)
        if least and most and least > most:
            said = f"{self.min_version} is above max_version {self.max_version}"
            wrong.append((("min_version",), said))
        suites = set(self.cipher_suites)
        if suites and suites <= set(SUITES_OF_TLS13) and least != ssl.TLSVersion.TLSv1_3:
            said = (
                "names suites of TLS 1.3 alone, which are always on; name one of TLS 1.2 too, or "
                "set min_version: TLS13"
            )
            wrong.append((("cipher_suites",), said))
        if len(self.curve_preferences) > 1:
            said = (
                "Python holds TLS to one curve only; name one, or leave the key out for X25519, "
                "CurveP256, CurveP521 and CurveP384"
            )
            wrong.append((("curve_preferences",), said))
        return wrong


class HttpServer(Model):
    """`http_server_config`. HTTP/2 is never spoken: clients agree on HTTP/1.1 by themselves."""

    http2: bool = True
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _allowed(self) -> HttpServer:
        wrong: list[tuple[Loc, str]] = []
        for name, value in self.headers.items():
            loc = ("headers", name)
            if name not in HEADERS:
                wrong.append((loc, f"cannot be set; these can: {', '.join(HEADERS)}"))
            elif HEADERS[name] and value not in HEADERS[name]:
                wrong.append((loc, f"write {' or '.join(HEADERS[name])}"))
            elif not value.isascii() or not value.isprintable() or value != value.strip():
                wrong.append((loc, "holds what no header can carry"))
        if wrong:
            raise Several(wrong)
        return self


class WebConfig(Model):
    """The whole file; the empty one means plain HTTP for everybody."""

    tls_server_config: TlsServer = TlsServer()
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[User, Hash] = Field(default_factory=dict, repr=False)
    rate_limit: Annotated[Any, AfterValidator(_no_rate_limit)] = None

    @property
    def tls(self) -> Tls | None:
        """What connections are served with; None for plain HTTP."""
        return self.tls_server_config.made

    @property
    def authenticates(self) -> bool:
        """Whether a stranger is kept out: by a password or by a certificate."""
        tls = self.tls
        verified = tls is not None and tls.context.verify_mode == ssl.CERT_REQUIRED
        return verified or bool(self.basic_auth_users)

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return what this configuration was read from, when `path` is its own file."""
        found = self.tls_server_config
        named = (found.cert_file, found.key_file, found.client_ca_file)
        return (path, *(path.parent / name for name in named if name))


def load(path: Path) -> WebConfig:
    """Return the web configuration in a file, with the certificates it names loaded.

    Paths in it are relative to it. Raises ConfigError with every error in it.
    """
    return parse(strictyaml.read(path), str(path), path.parent)


def parse(text: str, source: str, directory: Path) -> WebConfig:
    """Return the web configuration in a text; raises ConfigError with every error in it."""
    return strictyaml.parse(text, source, WebConfig, {"directory": directory}, secret=True)
