"""A TLS handshake that shows the far end's certificate, good or bad, and nothing more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

from cryptography import x509

# How many bytes a handshake may bring. Chains of certificates are a few KiB.
LONGEST = 262_144
# For how many seconds the far end may take to say good-bye.
LINGER = 0.5


@dataclass(frozen=True, slots=True)
class Certificate:
    """What of a certificate matters: its DNS names, and when it holds (seconds since the epoch)."""

    names: tuple[str, ...]
    not_before: float
    not_after: float


def trusting() -> ssl.SSLContext:
    """Return a context that demands a chain to an authority this host trusts, by any name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    # As strict as other clients are, no more.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def looking() -> ssl.SSLContext:
    """Return a context that takes any certificate: to look at it, nothing is ever sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def certificate(connected: socket.socket, context: ssl.SSLContext, name: str) -> bytes:
    """Return the far end's certificate in DER, after a handshake with the name as SNI.

    Raises ssl.SSLCertVerificationError, ssl.SSLError where it speaks no TLS, OSError where it
    closes or resets the connection, ValueError where it is no name. It waits for ever.
    """
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name or None)
    brought = 0
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            await loop.sock_sendall(connected, outgoing.read())
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(connected, outgoing.read())  # why we leave
            raise
        data = await loop.sock_recv(connected, 16_384)
        brought += len(data)
        if not data:
            raise ConnectionError("the far end closed the connection")
        if brought > LONGEST:
            raise ConnectionError("the far end sent too much")
        incoming.write(data)
    with contextlib.suppress(ssl.SSLError):
        tls.unwrap()  # good-bye; the answer to it is not waited for
    with contextlib.suppress(OSError):
        await loop.sock_sendall(connected, outgoing.read())
    found = tls.getpeercert(binary_form=True)
    if found is None:
        raise ssl.SSLError("no certificate")
    return found


async def leave(connected: socket.socket) -> None:
    """Close a connection as one does, lest the far end count a reset."""
    loop = asyncio.get_running_loop()
    try:
        with contextlib.suppress(OSError, TimeoutError):
            connected.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(LINGER):
                while await loop.sock_recv(connected, 65_536):
                    pass
    finally:
        connected.close()


def read(der: bytes) -> Certificate:
    """Return what of a certificate matters; raises ValueError where it cannot be read."""
    try:
        found = x509.load_der_x509_certificate(der)
        try:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = None  # one that no client takes for any name
        dns_names = tuple(names.get_values_for_type(x509.DNSName)) if names else ()
        return Certificate(
            tuple(n.lower() for n in dns_names if n.isascii() and n.isprintable()),
            found.not_valid_before_utc.timestamp(),
            found.not_valid_after_utc.timestamp(),
        )
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion) as why:
        raise ValueError(str(why)) from None
