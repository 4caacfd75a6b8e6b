"""Commands to paste. Only ids of the right form enter one, and each opens as little as it can.

https://docs.aws.amazon.com/cli/latest/reference/ec2/
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable

from exporter.analysis.clients import Port
from exporter.analysis.rules import protocol_name
from exporter.model import REGION, Endpoint, Network

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
_ID = re.compile(r"(?:[a-z]+-)+[0-9a-f]{3,40}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(REGION)


def ec2(region: str, operation: str, *arguments: str, ids: Iterable[str]) -> str | None:
    """Return an EC2 command; None where an id or the Region does not look like one."""
    return aws(region, "ec2", operation, *arguments, ids=ids)


def aws(
    region: str, service: str, operation: str, *arguments: str, ids: Iterable[str]
) -> str | None:
    """Return a command of the AWS CLI; None where an id or the Region does not look like one.

    The shell takes every argument literally.
    """
    if not _REGION.fullmatch(region) or not all(_ID.fullmatch(i) for i in ids):
        return None
    return shlex.join(["aws", service, operation, *arguments, "--region", region])


def by_its_maker(endpoint: Endpoint) -> str | None:
    """Return where to change an endpoint that another AWS service made; None for any other.

    AWS refuses to change or delete it otherwise.
    """
    if not endpoint.requester_managed:
        return None
    return f"{endpoint.id} is managed by the service that made it: change it there."


def open_group(
    region: str,
    group_id: str,
    source: Network | str,
    at: Port,
    egress: bool = False,
    owner: str = "",
) -> str | None:
    """Return the command that lets a network or a group in at a port, or lets out to it.

    `owner` is the account of a group that is let in, where that is another one than the group's
    whose rule it is: without it AWS does not find the group.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UserIdGroupPair.html
    """
    permission: dict[str, object] = {
        "IpProtocol": protocol_name(at.protocol),
        "FromPort": at.number,
        "ToPort": at.number,
    }
    if isinstance(source, str) and source.startswith("pl-"):
        permission["PrefixListIds"] = [{"PrefixListId": source}]
    elif isinstance(source, str):
        whose = {"UserId": owner} if _ACCOUNT.fullmatch(owner) else {}
        permission["UserIdGroupPairs"] = [{"GroupId": source, **whose}]
    elif source.version == 4:
        permission["IpRanges"] = [{"CidrIp": str(source)}]
    else:
        permission["Ipv6Ranges"] = [{"CidrIpv6": str(source)}]
    return ec2(
        region,
        f"authorize-security-group-{'egress' if egress else 'ingress'}",
        "--group-id",
        group_id,
        "--ip-permissions",
        json.dumps([permission], separators=(",", ":")),
        ids=[group_id, *([source] if isinstance(source, str) else [])],
    )


def open_acl(
    region: str,
    acl_id: str,
    number: int,
    peer: Network,
    protocol: int,
    ports: tuple[int, int],
    egress: bool,
) -> str | None:
    """Return the command that adds an entry to a network ACL which lets packets pass."""
    family = "--cidr-block" if peer.version == 4 else "--ipv6-cidr-block"
    return ec2(
        region,
        "create-network-acl-entry",
        "--network-acl-id",
        acl_id,
        "--egress" if egress else "--ingress",
        "--rule-number",
        str(number),
        "--protocol",
        str(protocol),
        "--port-range",
        f"From={ports[0]},To={ports[1]}",
        family,
        str(peer),
        "--rule-action",
        "allow",
        ids=[acl_id],
    )


def by_account(own: str, commands: Iterable[tuple[str, str | None]], most: int = 5) -> str | None:
    """Return commands one a line, each with the account that it is for; None without any.

    Those of the account `own` come first, those of another one after a line that says in which.
    """
    found: dict[str, list[str]] = {own: []}
    each = dict.fromkeys((account, command) for account, command in commands if command)
    for account, command in list(each)[:most]:
        found.setdefault(account, []).append(command or "")
    said = [
        line
        for account, theirs in found.items()
        for line in ([f"In account {account}:"] if account != own else []) + theirs
    ]
    return "\n".join(said) or None


def lines(commands: Iterable[str | None], most: int = 5) -> str | None:
    """Return commands one a line, each once and not too many; None without any."""
    found = list(dict.fromkeys(command for command in commands if command))
    return "\n".join(found[:most]) or None
