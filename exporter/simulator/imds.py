"""IMDSv2 of the host that the exporter runs on: which VPC it is in.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable

from exporter.simulator.call import Environ, StartResponse, respond
from exporter.simulator.state import World

MAC = "0a:00:5e:00:53:01"
_LONGEST = 21600


class Imds:
    """Answers under /latest/."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        # By token: until when it holds.
        self._tokens: dict[str, float] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request of the instance."""
        status, text = self._answer(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"].removeprefix("/latest/"),
            environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", ""),
            environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN", ""),
        )
        return respond(start_response, text.encode(), "text/plain", status)

    def _answer(self, method: str, path: str, ttl: str, token: str) -> tuple[int, str]:
        if not self._world.host_vpc:
            return 404, ""
        if path == "api/token":
            if method != "PUT":
                return 405, ""
            if not ttl.isdecimal() or not 1 <= int(ttl) <= _LONGEST:
                return 400, ""
            return 200, self._give(int(ttl))
        with self._lock:
            valid = self._tokens.get(token, 0.0) > time.monotonic()
        if not valid:
            return 401, ""
        found = self._metadata().get(path.removeprefix("meta-data/").rstrip("/"))
        return (404, "") if found is None else (200, found)

    def _give(self, ttl: int) -> str:
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._tokens[token] = time.monotonic() + ttl
        return token

    def _metadata(self) -> dict[str, str]:
        with self._world.lock:
            where, vpc = self._world.find("Vpcs", "VpcId", self._world.host_vpc)
        interface = f"network/interfaces/macs/{MAC}"
        blocks = [a["CidrBlock"] for a in vpc["CidrBlockAssociationSet"]]
        return {
            "mac": MAC,
            "network/interfaces/macs": f"{MAC}/",
            f"{interface}/mac": MAC,
            f"{interface}/owner-id": where.account,
            f"{interface}/vpc-id": vpc["VpcId"],
            f"{interface}/vpc-ipv4-cidr-block": vpc["CidrBlock"],
            f"{interface}/vpc-ipv4-cidr-blocks": "\n".join(blocks),
            "placement/region": where.region,
        }
