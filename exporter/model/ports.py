"""Which ports an endpoint serves, as far as that can be told without looking at its traffic."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.model.service import Listener

# AWS's services that are asked otherwise than by HTTPS, by the end of their names. Where the port
# depends on how the service was set up, there is none. Of several ports clients choose one.
# https://docs.aws.amazon.com/keyspaces/latest/devguide/vpc-endpoints.html
# https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html
# https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html
# https://docs.aws.amazon.com/transfer/latest/userguide/create-server-in-vpc.html
_OTHERWISE = {
    ".cassandra": (9142,),
    ".cassandra-fips": (9142,),
    ".email-smtp": (25, 465, 587, 2465, 2587),
    ".iot.data": (443, 8443, 8883),
    ".transfer.server": (),
}


# Protocols of listeners that accept TCP connections.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
_TCP = frozenset({"TCP", "TLS", "TCP_UDP"})


def tcp_ports(listeners: tuple[Listener, ...]) -> tuple[int, ...]:
    """Return the ports at which a load balancer's listeners accept TCP connections."""
    return tuple(x.port for x in listeners if x.port is not None and x.protocol in _TCP)


def is_aws_service(service_name: str) -> bool:
    """Return whether a service is AWS's own: not one that a customer offers.

    https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
    """
    name = service_name.removeprefix("cn.")
    return name.startswith(("com.amazonaws.", "aws.")) and not name.startswith(
        "com.amazonaws.vpce."
    )


def ports_of(
    service_name: str, expected: Iterable[int] = (), listeners: Iterable[int] = ()
) -> tuple[int, ...]:
    """Return the ports: those configured, else the provider's listeners', else those of AWS.

    Nothing where nothing tells.
    """
    told = sorted(set(expected)) or sorted(set(listeners))
    if told or not is_aws_service(service_name):
        return tuple(told)
    return next((p for end, p in _OTHERWISE.items() if service_name.endswith(end)), (443,))
