"""Connections from here, to real servers on loopback."""

from __future__ import annotations

import asyncio
import datetime
import errno
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from exporter.connectivity import Call, Dialer, calls, listeners
from exporter.handshake import looking, read, trusting
from exporter.model import (
    NO_ANSWER,
    Dial,
    DnsName,
    Endpoint,
    EndpointService,
    Interface,
    Inventory,
    Known,
    Listener,
    Scope,
    Unavailable,
    covers,
    judged,
    ports_of,
)
from tests.web.certificates import Authority, Pair

SCOPE = Scope("111122223333", "eu-west-1")
NAME = "api.example.com"
PRIVATE = DnsName(NAME, "private")
# A loopback address of the endpoint's own: all of 127.0.0.0/8 is this host.
HERE = "127.0.0.77"
DAYS = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Far:
    """A server on loopback: it speaks TLS with a pair, or does what `how` says with the bytes."""

    def __init__(self, pair: Pair | None = None, how: str = "silent") -> None:
        self.how = how
        self.names: list[str | None] = []
        self.closed_well = 0
        self.context: ssl.SSLContext | None = None
        self._pair = pair

    def _sni(self, _: Any, name: str | None, __: Any) -> None:
        self.names.append(name)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.how == "speaks":
                writer.write(b"220 ready\r\n")
            if self.how != "closes":
                await reader.read()
            self.closed_well += 1
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def start(self, directory: Path) -> asyncio.Server:
        if self._pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*self._pair.write(directory, "far"))
            self.context.sni_callback = self._sni
        return await asyncio.start_server(self._serve, HERE, 0, ssl=self.context)


def call(port: int, name: DnsName | None = PRIVATE, tls: bool = True, aws: bool = False) -> Call:
    return Call("vpce-1", ip_address(HERE), port, name, tls, aws)


def trust(authority: Authority) -> ssl.SSLContext:
    context = looking()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem.decode())
    return context


def dial(
    far: Far,
    directory: Path,
    authority: Authority | None = None,
    now: float | None = None,
    **more: Any,
) -> Dial:
    """Return what came of connecting to a server."""

    async def main() -> Dial:
        server = await far.start(directory)
        port = server.sockets[0].getsockname()[1]
        dialer = Dialer(
            lambda: time.time() if now is None else now,
            0.5,
            trust(authority) if authority else trusting(),
        )
        async with server:
            (found,) = await dialer.run([call(port, **more)])
        await asyncio.sleep(0.05)
        return found

    return asyncio.run(main())


def test_a_good_certificate(authority: Authority, tmp_path: Path) -> None:
    """The name goes out as SNI, the names and the end of the certificate come back."""
    far = Far(authority.sign("far", x509.DNSName("*.example.com"), x509.DNSName("other.example")))
    before = time.time()
    found = dial(far, tmp_path)
    assert (found.problem, found.tls_problem, found.local) == (None, None, False)
    assert far.names == [NAME]
    assert found.name == NAME
    assert found.names == ("*.example.com", "other.example")
    assert found.not_after is not None
    assert abs(found.not_after - before - 86400) < 10
    assert 0 < found.duration < 0.5
    assert far.closed_well


@pytest.mark.parametrize(
    ("san", "ends", "name", "aws", "problem"),
    [
        (NAME, DAYS, PRIVATE, False, None),
        (NAME, -DAYS, PRIVATE, False, "the certificate expired at "),
        (NAME, -DAYS, PRIVATE, True, "the certificate expired at "),
        ("other.example.com", DAYS, PRIVATE, False, f"the certificate is not for {NAME}"),
        ("other.example.com", DAYS, DnsName(NAME, "regional"), False, None),
        ("other.example.com", DAYS, None, False, None),
        ("*.example.com", DAYS, DnsName("*.example.com", "private"), False, None),
        (NAME, DAYS, PRIVATE, True, None),
    ],
    ids=[
        "good",
        "expired",
        "expired at AWS",
        "wrong name",
        "a regional name is nobody's promise",
        "no name",
        "wildcard",
        "good at AWS",
    ],
)
def test_what_is_wrong_with_a_certificate(
    authority: Authority,
    tmp_path: Path,
    san: str,
    ends: datetime.timedelta,
    name: DnsName | None,
    aws: bool,
    problem: str | None,
) -> None:
    """A bad certificate is shown with what is wrong; the connection came about."""
    pair = authority.sign("far", x509.DNSName(san), ends=ends)
    found = dial(Far(pair), tmp_path, authority, name=name, aws=aws)
    assert found.problem is None
    assert found.names == (san,)
    assert found.not_after is not None
    assert found.tls_problem == problem or (problem and problem in (found.tls_problem or ""))


def test_not_valid_yet(authority: Authority, tmp_path: Path) -> None:
    """A certificate that begins later is as bad as one that has ended."""
    pair = authority.sign("far", x509.DNSName(NAME))
    found = dial(Far(pair), tmp_path, now=time.time() - 30 * 86400)
    assert "not valid before" in (found.tls_problem or "")


@pytest.mark.parametrize("aws", [True, False], ids=["AWS", "a provider"])
def test_an_authority_that_nobody_knows(authority: Authority, tmp_path: Path, aws: bool) -> None:
    """AWS's certificates have an authority that is trusted; a provider's may be its own."""
    far = Far(Authority("unknown").sign("far", x509.DNSName(NAME)))
    found = dial(far, tmp_path, authority, aws=aws)
    assert found.names == (NAME,)
    assert (found.tls_problem or "").startswith("not trusted by this host: ") == aws
    assert bool(found.tls_problem) == aws


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("silent", f"no TLS: {NO_ANSWER}"),
        ("speaks", "no TLS: wrong version number"),
        ("closes", "no TLS: "),
    ],
)
@pytest.mark.parametrize("aws", [True, False], ids=["AWS", "a provider"])
def test_no_tls(tmp_path: Path, how: str, words: str, aws: bool) -> None:
    """Whoever waits, speaks first or closes may speak something else; AWS does not."""
    found = dial(Far(how=how), tmp_path, aws=aws)
    assert found.problem is None
    assert found.not_after is None
    assert (found.tls_problem or "").startswith(words) == aws
    assert bool(found.tls_problem) == aws


def test_plain_tcp(tmp_path: Path) -> None:
    """Where TLS is not asked for nothing is sent, and the connection is closed, not reset."""
    far = Far()
    found = dial(far, tmp_path, tls=False, aws=True)
    assert (found.problem, found.tls_problem, found.name) == (None, None, "")
    assert far.closed_well


def test_a_name_that_is_none(tmp_path: Path, authority: Authority) -> None:
    """A name that cannot be sent makes no connection fail."""
    far = Far(authority.sign("far"))
    found = dial(far, tmp_path, name=DnsName("." * 300, "private"))
    assert (found.problem, found.tls_problem) == (None, None)


def one(wanted: Call, timeout: float = 0.5) -> Dial:
    (found,) = asyncio.run(Dialer(time.time, timeout).run([wanted]))
    return found


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port whose queue is full: packets to it vanish."""
    with socket.socket() as listener:
        listener.bind((HERE, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for s in waiting:
            s.setblocking(False)
            s.connect_ex((HERE, port))
        try:
            yield port
        finally:
            for s in waiting:
                s.close()


def test_no_answer() -> None:
    """Packets that vanish are waited for no longer than the time-out."""
    with black_hole() as port:
        found = one(call(port))
    assert (found.problem, found.local) == (NO_ANSWER, False)
    assert 0.5 <= found.duration < 1


def test_refused() -> None:
    """A port that nobody listens on says so at once."""
    with socket.socket() as s:
        s.bind((HERE, 0))
        port = s.getsockname()[1]
    found = one(call(port))
    assert (found.problem, found.local, found.tls_problem) == ("connection refused", False, None)


def test_no_route_from_here() -> None:
    """What this host cannot send says nothing of the endpoint."""
    # TCP to the broadcast address has no route anywhere.
    found = one(replace(call(443), address=ip_address("255.255.255.255")))
    assert found.local
    assert "unreachable" in (found.problem or "")


def test_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors is this host's own affair."""

    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def main() -> Dial:
        dialer = Dialer(time.time, 0.5)
        with monkeypatch.context() as patch:
            patch.setattr("exporter.connectivity.socket.socket", none_left)
            (found,) = await dialer.run([call(9)])
        return found

    found = asyncio.run(main())
    assert (found.problem, found.local) == ("too many open files", True)


def test_a_loop_that_was_busy(tmp_path: Path) -> None:
    """When this process was late the answer may have been there: it looks again, then says so."""

    async def main() -> Dial:
        with black_hole() as port:
            running = asyncio.create_task(Dialer(time.time, 0.1).run([call(port)]))
            for _ in range(2):
                await asyncio.sleep(0.05)
                time.sleep(0.7)  # noqa: ASYNC251  # this is what is tested
            (found,) = await running
        return found

    found = asyncio.run(main())
    assert found.local
    assert "too busy" in (found.problem or "")


def test_nothing_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, tmp_path: Path
) -> None:
    """The inventory's addresses are dialled, whatever DNS says."""

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("looked up")

    far = Far(authority.sign("far", x509.DNSName(NAME)))

    async def main() -> Dial:
        server = await far.start(tmp_path)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
        async with server:
            (found,) = await Dialer(time.time, 0.5).run([call(port)])
        return found

    assert asyncio.run(main()).names == (NAME,)


def test_one_that_sends_for_ever(tmp_path: Path) -> None:
    """Who never stops sending is left all the same."""

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"\x16\x03\x03\x40\x00" + bytes(16_384))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def main() -> Dial:
        server = await asyncio.start_server(flood, HERE, 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            (found,) = await Dialer(time.time, 0.5).run([call(port, aws=True)])
        return found

    assert (asyncio.run(main()).tls_problem or "").startswith("no TLS: ")


@pytest.mark.parametrize("der", [b"", b"\x30\x03\x02\x01\x01", bytes(64)])
def test_a_certificate_that_is_none(der: bytes) -> None:
    """Bytes that are no certificate are a ValueError, whatever they are."""
    with pytest.raises(ValueError, match=r"\w"):
        read(der)


ENDPOINT = Endpoint(
    "vpce-1",
    SCOPE,
    "Interface",
    "available",
    "com.amazonaws.eu-west-1.sqs",
    "vpc-1",
    interface_ids=("eni-1", "eni-2"),
    dns_names=(
        DnsName("vpce-1-x.sqs.example", "regional"),
        DnsName("vpce-1-x-a.sqs.example", "zonal", "a"),
        DnsName("*.sqs.example", "private"),
        DnsName("sqs.example", "private"),
    ),
)


def estate(endpoint: Endpoint = ENDPOINT) -> Inventory:
    addresses = {"eni-1": ("10.1.0.10", "fd00::10"), "eni-2": ("10.1.1.10",)}
    interfaces = {
        i: Interface(i, "vpc-1", "s", "a", "az1", tuple(map(ip_address, found)))
        for i, found in addresses.items()
    }
    return Inventory(
        SCOPE,
        endpoints=Known({endpoint.id: endpoint}, 0),
        interfaces=Known(interfaces, 0),
    )


def wanted(inventory: Inventory, *ports: int) -> tuple[Call, ...]:
    return calls(inventory, {"vpc-1"}, lambda _: ports, {443})


def test_every_address_and_port_is_tried() -> None:
    """Each address of each interface, at each port; TLS only where it is spoken."""
    found = wanted(estate(), 443, 5432)
    assert [(str(c.address), c.port, c.tls) for c in found] == [
        ("10.1.0.10", 443, True),
        ("fd00::10", 443, True),
        ("10.1.1.10", 443, True),
        ("10.1.0.10", 5432, False),
        ("fd00::10", 5432, False),
        ("10.1.1.10", 5432, False),
    ]
    assert {c.sni for c in found} == {"sqs.example"}
    assert {c.port for c in found if c.aws} == {443}


@pytest.mark.parametrize(
    ("names", "sni"),
    [
        (ENDPOINT.dns_names[:2], "vpce-1-x.sqs.example"),
        (ENDPOINT.dns_names[:3], "privatelink-exporter-probe.sqs.example"),
        ((), ""),
    ],
    ids=["regional", "wildcard", "none"],
)
def test_the_name_that_is_sent(names: tuple[DnsName, ...], sni: str) -> None:
    """A private name, else the regional one; something in place of a star."""
    assert {c.sni for c in wanted(estate(replace(ENDPOINT, dns_names=names)), 443)} == {sni}


@pytest.mark.parametrize(
    "changes",
    [
        {"vpc_id": "vpc-2"},
        {"type": "GatewayLoadBalancer"},
        {"type": "Gateway"},
        {"state": "pending"},
        {"state": "rejected"},
        {"state": "deleting"},
        {"interface_ids": ("eni-1", "eni-3")},
    ],
    ids=lambda changes: " ".join(f"{k} {v}" for k, v in changes.items()),
)
def test_what_is_not_tried(changes: dict[str, Any]) -> None:
    """Other VPCs, types that accept nothing, states in which nothing works, half an inventory."""
    assert wanted(estate(replace(ENDPOINT, **changes)), 443) == ()


@pytest.mark.parametrize("name", ["endpoints", "interfaces"])
def test_old_addresses_are_not_tried(name: str) -> None:
    """What an old listing has may be somebody else's by now."""
    changes: dict[str, Any] = {name: Unavailable("denied", "denied", getattr(estate(), name))}
    assert wanted(replace(estate(), **changes), 443) == ()


def test_the_ports_of_listeners() -> None:
    """The provider's listeners, by its service's name, last known; none of one that is unseen."""
    service = EndpointService(
        "vpce-svc-1", SCOPE, "com.amazonaws.vpce.x", "available", load_balancer_arns=("a", "b")
    )
    found: Known[tuple[Listener, ...]] = Known(
        (Listener("l", "TCP", 8443), Listener("m", "GENEVE", None), Listener("n", "UDP", 53)), 0
    )
    inventory = Inventory(
        SCOPE,
        services=Known({service.id: service}, 0),
        listeners={"a": Unavailable("throttled", "throttled", found)},
    )
    assert listeners([inventory, Inventory(SCOPE)]) == {"com.amazonaws.vpce.x": (8443,)}


@pytest.mark.parametrize(
    ("service", "expected", "listening", "ports"),
    [
        ("com.amazonaws.eu-west-1.sqs", (), (), (443,)),
        ("com.amazonaws.eu-west-1.sqs", (8443, 80), (), (80, 8443)),
        ("aws.sagemaker.eu-west-1.notebook", (), (), (443,)),
        ("cn.com.amazonaws.cn-north-1.sqs", (), (), (443,)),
        ("com.amazonaws.eu-west-1.cassandra", (), (), (9142,)),
        ("com.amazonaws.eu-west-1.email-smtp", (), (), (25, 465, 587, 2465, 2587)),
        ("com.amazonaws.eu-west-1.email-smtp", (587,), (), (587,)),
        ("com.amazonaws.eu-west-1.iot.data", (), (), (443, 8443, 8883)),
        ("com.amazonaws.eu-west-1.iot.credentials", (), (), (443,)),
        ("com.amazonaws.eu-west-1.transfer.server", (), (), ()),
        ("com.amazonaws.vpce.eu-west-1.vpce-svc-1", (), (), ()),
        ("com.amazonaws.vpce.eu-west-1.vpce-svc-1", (), (5432, 443, 443), (443, 5432)),
        ("com.amazonaws.vpce.eu-west-1.vpce-svc-1", (22,), (5432,), (22,)),
        ("cn.com.amazonaws.vpce.cn-north-1.vpce-svc-1", (), (), ()),
        ("", (), (), ()),
    ],
)
def test_the_ports_of_a_service(
    service: str, expected: tuple[int, ...], listening: tuple[int, ...], ports: tuple[int, ...]
) -> None:
    """Configured ports come first, then listeners', then what AWS documents; else none."""
    assert ports_of(service, expected, listening) == ports


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("api.example.com", "api.example.com", True),
        ("API.example.com.", "api.EXAMPLE.com", True),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "a.api.example.com", False),
        ("*.example.com", "example.com", False),
        ("a*.example.com", "api.example.com", False),
        ("api.*.com", "api.example.com", False),
        ("*.com", "example.com", False),
        ("*", "example", False),
        ("", "", True),
        ("other.example.com", "api.example.com", False),
    ],
)
def test_names_of_certificates(pattern: str, name: str, covered: bool) -> None:
    """A star is the whole first label, once, below a domain of two labels at least."""
    assert covers([pattern], name) == covered
    assert not covers([], name)


def test_a_family_that_this_host_does_not_speak() -> None:
    """It is left out of judgement, unless nothing at all could be tried."""
    four = Dial("vpce-1", ip_address("10.1.0.10"), 443, 0, 0)
    six = replace(
        four, address=ip_address("fd00::10"), problem="network is unreachable", local=True
    )
    other = replace(four, problem="too many open files", local=True)
    assert judged([four, six]) == ((four,), ())
    assert judged([six]) == ((), (six,))
    assert judged([four, other, six]) == ((four,), (other,))
