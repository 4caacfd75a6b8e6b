"""The web configuration file: what is accepted, what each mistake is told, what promtool says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.strictyaml import ConfigError
from exporter.web.webconfig import WebConfig, load, parse
from tests.harness import run
from tests.web.certificates import Authority

ROOT = Path(__file__).parent.parent.parent
HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
PAIR = "cert_file: server.pem, key_file: server.key"
CLIENTS = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the certificates that the files name."""
    made = tmp_path_factory.mktemp("web")
    authority, other = Authority(), Authority("other")
    authority.sign("server").write(made, "server")
    other.sign("other").write(made, "other")
    (made / "ca.pem").write_bytes(authority.pem)
    (made / "empty.pem").write_text("")
    (made / "locked.key").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    (made / "garbage.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    return made


def indented(text: bytes) -> str:
    return "".join(f"    {line}\n" for line in text.decode().splitlines())


# What is the same to promtool and to us.
GOOD = {
    "nothing": "",
    "TLS": f"tls_server_config: {{{PAIR}}}",
    "no certificate asked for": f"tls_server_config: {{{PAIR}, client_auth_type: NoClientCert}}",
    "a certificate asked for": f"tls_server_config: {{{PAIR}, "
    "client_auth_type: RequestClientCert}",
    "client certificates": f"tls_server_config: {{{PAIR}, {CLIENTS}}}",
    "client certificates if given": f"tls_server_config: {{{PAIR}, "
    "client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}",
    "versions": f"tls_server_config: {{{PAIR}, min_version: TLS11, max_version: TLS12}}",
    "the oldest": f"tls_server_config: {{{PAIR}, min_version: TLS10, max_version: TLS10}}",
    "suites": f"tls_server_config: {{{PAIR}, prefer_server_cipher_suites: false, cipher_suites: "
    "[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_CBC_SHA]}",
    "suites of TLS 1.3": f"tls_server_config: {{{PAIR}, min_version: TLS13, "
    "cipher_suites: [TLS_AES_128_GCM_SHA256]}",
    "a curve": f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP384]}}",
    "the other curve": f"tls_server_config: {{{PAIR}, curve_preferences: [X25519]}}",
    "HTTP/2": "http_server_config: {http2: true}",
    "no HTTP/2": f"tls_server_config: {{{PAIR}}}\nhttp_server_config: {{http2: false}}",
    "headers": "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    "    Strict-Transport-Security: max-age=31536000\n    X-Content-Type-Options: nosniff\n"
    "    X-XSS-Protection: ''\n    Content-Security-Policy: default-src 'self'\n",
    "users": f"basic_auth_users: {{alice: {HASH}, bob: {HASH.replace('2y', '2b')}}}",
    "no users": "basic_auth_users: {}",
    "a user whose name YAML has another idea of": f"basic_auth_users: {{on: {HASH}}}",
    "everything": f"tls_server_config: {{{PAIR}, {CLIENTS}}}\nbasic_auth_users: {{alice: {HASH}}}",
}

BAD = {
    "unknown key": ("tls: {}", ["w:1: tls: unknown key; known here: tls_server_config, http_"]),
    "unknown key within": (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  ca: x",
        ["w:4: tls_server_config.ca: unknown key; known here: cert_file, key_file, cert, key,"],
    ),
    "no key": (
        "tls_server_config: {cert_file: server.pem}",
        ["w:1: tls_server_config.key_file: required for TLS (or inline: key)"],
    ),
    "no certificate": (
        "tls_server_config: {key_file: server.key}",
        ["w:1: tls_server_config.cert_file: required for TLS (or inline: cert)"],
    ),
    "only whom to let in": (
        "tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert",
        [
            "w:1: tls_server_config.cert_file: required",
            "w:1: tls_server_config.key_file: required",
            "w:2: tls_server_config.client_auth_type: RequireAndVerifyClientCert needs client_ca_f",
        ],
    ),
    "files that are not there": (
        "tls_server_config:\n  cert_file: none.pem\n  key_file: none.key",
        [
            "w:2: tls_server_config.cert_file: cannot read ",
            "w:3: tls_server_config.key_file: cannot read ",
        ],
    ),
    "another's key": (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: other.key",
        ["w:3: tls_server_config.key_file: other.key is not the key of the certificate"],
    ),
    "an empty certificate and the wrong file": (
        "tls_server_config:\n  cert_file: empty.pem\n  key_file: ca.pem",
        [
            "w:2: tls_server_config.cert_file: empty.pem holds no certificate in PEM",
            "w:3: tls_server_config.key_file: ca.pem holds no private key in PEM",
        ],
    ),
    "a certificate that is none": (
        "tls_server_config: {cert_file: garbage.pem, key_file: server.key}",
        ["w:1: tls_server_config.cert_file: garbage.pem and server.key cannot be used"],
    ),
    "a key with a passphrase": (
        "tls_server_config: {cert_file: server.pem, key_file: locked.key}",
        ["w:1: tls_server_config.key_file: locked.key is encrypted"],
    ),
    "authorities without a word on clients": (
        f"tls_server_config: {{{PAIR}, client_ca_file: ca.pem}}",
        ["w:1: tls_server_config.client_ca_file: needs client_auth_type"],
    ),
    "authorities that are not there": (
        f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven, "
        "client_ca_file: none.pem}",
        ["w:1: tls_server_config.client_ca_file: cannot read "],
    ),
    "Go's names, misspelt": (
        f"tls_server_config:\n  {PAIR.replace(', ', chr(10) + '  ')}\n  client_auth_type: Yes!\n"
        "  min_version: tls12\n  max_version: '1.3'\n  cipher_suites: [AES128-SHA]\n"
        "  curve_preferences: [P256]",
        [
            "w:4: tls_server_config.client_auth_type: not known; write one of NoClientCert, ",
            "w:5: tls_server_config.min_version: not known; write one of TLS10, TLS11, ",
            "w:6: tls_server_config.max_version: not known; write one of TLS10, TLS11, ",
            "w:7: tls_server_config.cipher_suites[0]: not known; write one of TLS_RSA_WITH_",
            "w:8: tls_server_config.curve_preferences[0]: not known; write one of CurveP256",
        ],
    ),
    "a suite that Go calls insecure": (
        f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}",
        ["w:1: tls_server_config.cipher_suites[0]: not known"],
    ),
    "a header of one's own": (
        "http_server_config: {headers: {X-Own: 'yes'}}",
        ["w:1: http_server_config.headers.X-Own: cannot be set; these can: Strict-Transport-S"],
    ),
    "a header's value": (
        "http_server_config:\n  headers:\n    X-Frame-Options: allow\n    x-xss-protection: '1'",
        [
            "w:3: http_server_config.headers.X-Frame-Options: write deny or sameorigin",
            "w:4: http_server_config.headers.x-xss-protection: cannot be set",
        ],
    ),
    "a password for a hash": (
        "basic_auth_users:\n  alice: correct horse\n  bob: $2y$10$short",
        [
            "w:2: basic_auth_users.alice: not a bcrypt hash; make one: htpasswd",
            "w:3: basic_auth_users.bob: not a bcrypt hash; make one: htpasswd",
        ],
    ),
    "no mapping": ("[]", ["w:1: write keys and their values"]),
    "not YAML": ("tls_server_config: {", ["w:1: not YAML: "]),
    "every section at once": (
        "tls_server_config:\n  cert_file: none.pem\n  key: 3\nbasic_auth_users:\n  a: b\nx: y",
        [
            "w:3: tls_server_config.key: write a text; quote it where it looks like a number",
            "w:5: basic_auth_users.a: not a bcrypt hash",
            "w:6: x: unknown key",
        ],
    ),
}

# What promtool takes and we do not: that would be weaker than it reads.
STRICTER = {
    "TLS settings without TLS": (
        "tls_server_config: {min_version: TLS12}",
        "w:1: tls_server_config.cert_file: required for TLS",
    ),
    "certificates that nobody verifies": (
        f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}",
        "w:1: tls_server_config.client_auth_type: RequireAnyClientCert takes any certificate",
    ),
    "clients of every public authority": (
        f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert}}",
        "w:1: tls_server_config.client_auth_type: RequireAndVerifyClientCert needs client_ca_file",
    ),
    "authorities that are none": (
        f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven, "
        "client_ca_file: empty.pem}",
        "w:1: tls_server_config.client_ca_file: empty.pem holds no CA",
    ),
    "authorities that cannot be read": (
        f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven, "
        "client_ca_file: garbage.pem}",
        "w:1: tls_server_config.client_ca_file: garbage.pem holds no CA",
    ),
    "versions upside down": (
        f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}",
        "w:1: tls_server_config.min_version: TLS13 is above max_version TLS12",
    ),
    "no suite for TLS 1.2": (
        f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_AES_128_GCM_SHA256]}}",
        "w:1: tls_server_config.cipher_suites: names suites of TLS 1.3 alone",
    ),
    "two curves": (
        f"tls_server_config: {{{PAIR}, curve_preferences: [X25519, CurveP256]}}",
        "w:1: tls_server_config.curve_preferences: Python holds TLS to one curve",
    ),
    "a user with a colon": (
        f"basic_auth_users: {{'a:b': {HASH}}}",
        "w:1: basic_auth_users.a:b: a user's name",
    ),
    "a hash that takes an hour": (
        f"basic_auth_users: {{a: {HASH.replace('$10', '$26')}}}",
        "w:1: basic_auth_users.a: the cost 26 is not between 4 and 15",
    ),
    "users that were all struck out": (
        "basic_auth_users:\n#  alice: ...\n",
        "w:1: basic_auth_users: write keys and their values",
    ),
}


def promtool_takes(promtool: str, directory: Path, text: str, name: str) -> bool:
    file = directory / f"{name}.yml"
    file.write_text(text)
    checked = subprocess.run(
        [promtool, "check", "web-config", str(file)], capture_output=True, check=False
    )
    return checked.returncode == 0


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_what_is_right_is_taken(text: str, directory: Path) -> None:
    """Every key of the format that can be honoured is accepted."""
    found = parse(text, "w", directory)
    assert (found.tls is not None) == ("cert_file" in text)
    assert bool(found.basic_auth_users) == ("$2y$" in text)


@pytest.mark.parametrize(("text", "messages"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_named(text: str, messages: list[str], directory: Path) -> None:
    """Each mistake is reported with its line and key, all at once; no hash is repeated."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "w", directory)
    assert len(caught.value.errors) == len(messages), caught.value.errors
    for error, message in zip(caught.value.errors, messages, strict=True):
        assert error.startswith(message)
        assert "correct horse" not in error


@pytest.mark.parametrize(("text", "message"), STRICTER.values(), ids=STRICTER.keys())
def test_what_would_be_weaker_than_it_reads(text: str, message: str, directory: Path) -> None:
    """What this server would honour with less than is asked for is refused, with the remedy."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "w", directory)
    assert [error for error in caught.value.errors if error.startswith(message)]


def test_promtool_agrees(directory: Path, program: Callable[[str], str]) -> None:
    """promtool takes what we take and refuses what we refuse, but for where we are stricter."""
    promtool = program("promtool")
    for i, (name, text) in enumerate(GOOD.items()):
        assert promtool_takes(promtool, directory, text, f"good{i}"), name
    for i, (name, (text, _)) in enumerate(BAD.items()):
        assert not promtool_takes(promtool, directory, text, f"bad{i}"), name
    for i, (name, (text, _)) in enumerate(STRICTER.items()):
        assert promtool_takes(promtool, directory, text, f"strict{i}"), name


# Of a later version of the format than Debian's promtool knows.
LATER = {
    "inline": "tls_server_config:\n  cert: |\n{certificate}  key: |\n{key}",
    "inline authorities": f"tls_server_config:\n  {PAIR.replace(', ', chr(10) + '  ')}\n"
    "  client_auth_type: RequireAndVerifyClientCert\n  client_ca: |\n{authority}",
    "names of clients": f"tls_server_config: {{{{{PAIR}, {CLIENTS}, "
    "client_allowed_sans: [prometheus.example.com]}}",
}


@pytest.mark.parametrize("template", LATER.values(), ids=LATER.keys())
def test_what_came_later_to_the_format(template: str, directory: Path) -> None:
    """Certificates and keys may stand in the file itself, and clients be named."""
    text = template.format(
        certificate=indented((directory / "server.pem").read_bytes()),
        key=indented((directory / "server.key").read_bytes()),
        authority=indented((directory / "ca.pem").read_bytes()),
    )
    assert parse(text, "w", directory).tls is not None


def test_twice_is_once_too_often(directory: Path) -> None:
    """A certificate both inline and as a file, and a rate limit, are errors."""
    with pytest.raises(ConfigError) as caught:
        parse(f"tls_server_config: {{{PAIR}, cert: x}}\nrate_limit: {{}}", "w", directory)
    assert caught.value.errors[0].startswith("w:1: tls_server_config.cert: given as cert_file too")
    assert caught.value.errors[1].startswith("w:2: rate_limit: not supported")


SECRETS = {
    "a hash for a user": f"basic_auth_users:\n  {HASH}: x",
    "a hash without a user": f"basic_auth_users: {HASH}",
    "user and hash in one": f"basic_auth_users: {{'alice:{HASH}'}}",
    "an alias": "basic_auth_users: {alice: *sesame-open}",
    "a tag": "basic_auth_users: {alice: !sesame-open x}",
    "a key for a key": f"tls_server_config:\n  ? {'sesame-open' * 6}\n  : x",
    "a number": "basic_auth_users: {alice: !!int sesame-open}",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_nothing_secret_is_repeated(text: str, directory: Path) -> None:
    """Wherever a hash or a key was put by mistake, the error does not show it."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "w", directory)
    said = str(caught.value)
    assert HASH[8:] not in said
    assert "sesame-open" not in said
    assert said.startswith("w:")


KEYS = st.sampled_from(
    [*WebConfig.model_fields, "cert_file", "key", "headers", "client_ca_file", "alice", "<<", ""]
)
RUBBISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def refusal(text: str) -> list[str]:
    """Return why a text is refused; nothing when it is taken. Raises whatever else is raised."""
    try:
        parse(text, "w", Path(os.devnull))
    except ConfigError as error:
        return error.errors or ["no reason"]
    return []


@given(data=RUBBISH)
def test_rubbish_is_refused_in_words(data: object) -> None:
    """Whatever YAML holds, it is taken or refused with ConfigError: nothing else is raised."""
    assert all(line.startswith("w:") for line in refusal(yaml.safe_dump(data)))


@given(
    text=st.text(alphabet=st.sampled_from(" \t\n:{}[]&*!|>'\"-?#%@`,abc$2y10\0\x85é"), max_size=40)
)
def test_any_text_is_refused_in_words(text: str) -> None:
    """Whatever the text, it is taken or refused with ConfigError."""
    assert all(line.startswith("w:") for line in refusal(text))


def test_the_shipped_example(
    directory: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """deploy/web-config.yml is right to us and to promtool, once its certificates are there."""
    example = tmp_path / "web-config.yml"
    shutil.copy(ROOT / "deploy" / "web-config.yml", example)
    for name, source in (("server.pem", "server.pem"), ("server.key", "server.key")):
        shutil.copy(directory / source, tmp_path / name)
    shutil.copy(directory / "ca.pem", tmp_path / "clients.pem")
    found = load(example)
    assert found.tls is not None
    assert found.basic_auth_users
    assert found.authenticates
    promtool = program("promtool")
    subprocess.run([promtool, "check", "web-config", str(example)], check=True)


def test_check_config_checks_both(directory: Path, tmp_path: Path) -> None:
    """`check-config` gives the errors of both files at once; `serve` and `demo` the same ones."""
    main, web = tmp_path / "config.yaml", directory / "both.yml"
    main.write_text("acounts: []\n")
    web.write_text("tls_server_config: {cert_file: none.pem}\n")
    environment = {"PATH": os.environ["PATH"]}
    flag = f"--web.config.file={web}"
    checked = run(environment, "check-config", str(main), flag)
    assert checked.returncode == 1
    first, *others = checked.stderr.splitlines()
    assert first.startswith(f"{main}:1: acounts: unknown key")
    assert len(others) == 2
    assert all(line.startswith(f"{web}:1: tls_server_config.") for line in others)
    served = run(environment, "serve", f"--config.file={main}", flag)
    assert (served.returncode, served.stderr) == (1, checked.stderr)
    shown = run(environment, "demo", flag)
    assert (shown.returncode, shown.stderr.splitlines()) == (1, others)
    main.write_text("")
    web.write_text(f"tls_server_config: {{{PAIR}}}\n")
    checked = run(environment, "check-config", str(main), flag)
    assert (checked.returncode, checked.stdout) == (0, f"{main}: valid\n{web}: valid\n")
