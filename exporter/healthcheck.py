"""Whether an exporter on this host answers: for container engines, in an image without curl.

`python -m exporter.healthcheck [PORT]` exits 0 when it does, else 1 with the reason. It has no
password and no client certificate, so being asked for one is an answer too.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from contextlib import suppress

PORT = 10911
TIMEOUT = 4.0
# The type of the record that a server's part of the handshake begins with (RFC 8446 §5.1).
HANDSHAKE = b"\x16"


def problem(port: int) -> str | None:
    """Return why the exporter at this port of 127.0.0.1 is not healthy; None when it is."""
    try:
        if _speaks_tls(port):
            return None
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        try:
            plain.request("GET", "/-/healthy")
            status = plain.getresponse().status
        finally:
            plain.close()
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return None if status in (200, 401) else f"status {status}"


def _speaks_tls(port: int) -> bool:
    """Whether a hello is answered by one: so far no certificate is asked for, nor shown wrong.

    The certificate is for the name that Prometheus knows, and not looked at here.
    """
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(outgoing.read())
        try:
            return connection.recv(1) == HANDSHAKE
        except ConnectionResetError:
            return False


def main() -> int:
    """Return the exit code, having said what is wrong."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    found = problem(port)
    if found:
        sys.stderr.write(f"127.0.0.1:{port}: {found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
