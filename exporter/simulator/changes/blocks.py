"""Blocks of addresses as AWS keeps them."""

from __future__ import annotations

from ipaddress import ip_network

from exporter.simulator.wire import AwsError


def canonical(text: str, version: int) -> str:
    """Return a block without the bits of a host; raises AwsError for what is none."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in text or network.version != version:
        raise AwsError("InvalidParameterValue", f"CIDR block {text} is malformed")
    return str(network)
