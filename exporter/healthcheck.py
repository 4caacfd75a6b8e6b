"""Whether an exporter on this host answers: for container engines, in an image without curl.

`python -m exporter.healthcheck [PORT]` exits 0 when it does, else 1 with the reason. It has no
password and no client certificate, so being asked for one is an answer too; what it cannot tell
is whether the certificate is the right one.
"""

from __future__ import annotations

import http.client
import ssl
import sys

PORT = 10911
TIMEOUT = 4.0
# What a server says that wants a certificate of the client (RFC 8446 §6.2), as OpenSSL names it.
_WANTED = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")


def problem(port: int) -> str | None:
    """Return why the exporter at this port of 127.0.0.1 is not healthy; None when it is."""
    over_tls = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=TIMEOUT, context=_any_certificate()
    )
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    found = ""
    for connection in (over_tls, plain):
        try:
            connection.request("GET", "/-/healthy")
            status = connection.getresponse().status
        except ssl.SSLError as error:
            if any(wanted in (error.reason or "") for wanted in _WANTED):
                return None
            found = str(error)
        except (OSError, http.client.HTTPException) as error:
            found = str(error) or type(error).__name__
        else:
            return None if status in (200, 401) else f"status {status}"
        finally:
            connection.close()
    return found


def _any_certificate() -> ssl.SSLContext:
    # Nothing secret is sent, and the certificate is for the name that Prometheus knows.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main() -> int:
    """Return the exit code, having said what is wrong."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    found = problem(port)
    if found:
        sys.stderr.write(f"127.0.0.1:{port}: {found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
