"""Where this host is: its own VPC, by the instance metadata service, version 2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from urllib.parse import urlsplit

import urllib3

from exporter.model import Network

# Off EC2 nothing answers. In a container the answer to the token's PUT dies on the way where the
# hop limit is 1: it must not be waited for long.
TIMEOUT = 1.0
ATTEMPTS = 2
LONGEST = 4096
_TTL = "60"
_MACS = "/latest/meta-data/network/interfaces/macs"


@dataclass(frozen=True, slots=True)
class Host:
    """The VPC that this host is in, and its address blocks."""

    vpc_id: str
    cidrs: tuple[Network, ...] = ()


def host(endpoint: str) -> Host:
    """Return where this host is; `endpoint` is the metadata service's URL.

    Raises OSError, within some three seconds, when nothing answers as that service does: off EC2,
    where it is switched off, or in a container when the instance's hop limit is 1.
    """
    parts = urlsplit(endpoint)
    # Never by a proxy: the address is this link's.
    pool = urllib3.HTTPConnectionPool(
        parts.hostname or "",
        parts.port,
        timeout=urllib3.Timeout(total=TIMEOUT),
        retries=urllib3.Retry(total=ATTEMPTS - 1, redirect=0, backoff_factor=0.1),
    )
    try:
        token = _get(
            pool, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": _TTL}
        )
        session = {"X-aws-ec2-metadata-token": token}
        mac = _get(pool, "GET", "/latest/meta-data/mac", session)
        vpc_id = _get(pool, "GET", f"{_MACS}/{mac}/vpc-id", session)
        try:
            blocks = _get(pool, "GET", f"{_MACS}/{mac}/vpc-ipv4-cidr-blocks", session).split()
        except OSError:
            blocks = []  # a VPC need not have any
        if not vpc_id.startswith("vpc-"):
            raise OSError(f"the metadata service gives {vpc_id[:40]!r} as VPC")
        return Host(vpc_id, tuple(ip_network(block, strict=False) for block in blocks))
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise OSError(f"no instance metadata: {type(error).__name__}: {error}") from None
    finally:
        pool.close()


def _get(pool: urllib3.HTTPConnectionPool, method: str, path: str, headers: dict[str, str]) -> str:
    answer = pool.request(method, path, headers=headers, preload_content=False)
    try:
        if answer.status != 200:
            raise OSError(f"the metadata service answers {answer.status} to {method} {path}")
        return answer.read(LONGEST).decode("ascii").strip()
    finally:
        answer.release_conn()
