"""The daemon as a process that connects: from its own VPC, to a provider's port with TLS."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from exporter import metrics as m
from exporter.simulator import providers
from exporter.simulator.builder import Builder
from exporter.simulator.server import Simulator
from exporter.simulator.state import ACCOUNT, World
from exporter.simulator.world import ZONES
from tests.harness import SimulatorProcess, exporter, free_port, select, until
from tests.web.certificates import Authority

NAME = "payments.example.com"
ADDRESSES = ("127.0.0.81", "127.0.0.82")


def estate(port: int) -> tuple[World, str, str]:
    """A provider's endpoint in the host's VPC at loopback addresses, and one in another VPC."""
    world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT}, one_resolver=True)
    build = Builder(world, 1)
    build.zones(*ZONES)
    behind, here, elsewhere = (
        build.vpc(f"10.{i}.0.0/16", name) for i, name in enumerate(("behind", "here", "elsewhere"))
    )
    service = providers.service(
        build, behind, "payments", listener=port, private_name=NAME, zones=(0, 1)
    )
    near, far = (
        build.endpoint(vpc, "payments", service.name, private_name=NAME)
        for vpc in (here, elsewhere)
    )
    world.host_vpc = here
    for endpoint_id in (near, far):
        ids = world.row("VpcEndpoints", "VpcEndpointId", endpoint_id)["NetworkInterfaceIds"]
        for interface_id, address in zip(ids, ADDRESSES, strict=True):
            row = world.row("NetworkInterfaces", "NetworkInterfaceId", interface_id)
            row["PrivateIpAddress"] = address
            row["PrivateIpAddresses"][0]["PrivateIpAddress"] = address
    return world, near, far


@contextmanager
def listening(address: str, port: int, context: ssl.SSLContext) -> Iterator[None]:
    """A server that shakes hands and waits for the good-bye."""

    def serve() -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            with connected:
                connected.settimeout(5)
                try:
                    with context.wrap_socket(connected, server_side=True) as tls:
                        tls.recv(1)
                except OSError:
                    pass

    with socket.create_server((address, port)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def simulated() -> Iterator[tuple[SimulatorProcess, int, str, str]]:
    port = free_port()
    world, near, far = estate(port)
    simulator = Simulator(world)
    simulator.start(clock=False)
    about = {
        "url": simulator.url,
        "dns_port": simulator.dns_port,
        "access_key": next(iter(world.keys)),
        "vpc_ids": world.vpc_ids(),
        "scenarios": {},
    }
    yield SimulatorProcess(about), port, near, far
    simulator.stop()


def test_connections_from_here(
    simulated: tuple[SimulatorProcess, int, str, str], tmp_path: Path
) -> None:
    """Every address of the endpoint in this host's VPC, and no other, is tried and told of.

    An address that no longer accepts shows; a reload that switches the collector off ends it all.
    """
    aws, port, near, far = simulated
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = Authority().sign("payments", x509.DNSName(NAME))
    context.load_cert_chain(*pair.write(tmp_path, "payments"))
    on = f"  connectivity: {{enabled: true, interval: 1s, tls_ports: [{port}]}}\n"
    config = aws.config(tmp_path / "config.yaml", on)
    environment = {
        **aws.environment,
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.about["url"],
    }
    with exporter(environment, tmp_path, f"--config.file={config}") as running:

        def success(endpoint_id: str) -> list[float]:
            found = select(running.series(), m.CONNECT_SUCCESS.name, endpoint_id=endpoint_id)
            assert all(dict(labels)["port"] == str(port) for labels in found)
            return list(found.values())

        with listening(ADDRESSES[0], port, context):
            with listening(ADDRESSES[1], port, context):
                until(running.ready, 60)
                until(lambda: success(near) == [1.0])
                ends = select(running.series(), m.CERTIFICATE_NOT_AFTER.name, endpoint_id=near)
                assert len(ends) == 1
                dials = running.json(f"/api/v1/endpoints/{near}")["dials"]
                assert {d["address"] for d in dials} == set(ADDRESSES)
                assert {d["sni"] for d in dials} == {NAME}
                assert {tuple(d["certificate"]["names"]) for d in dials} == {(NAME,)}
                assert success(far) == []
                assert running.json(f"/api/v1/endpoints/{far}")["dials"] is None
                up = select(running.series(), m.COLLECTOR_UP.name, collector="connectivity")
                assert list(up.values()) == [1.0]
            until(lambda: success(near) == [0.0])
            dials = running.json(f"/api/v1/endpoints/{near}")["dials"]
            assert {d["problem"] for d in dials} == {None, "connection refused"}
        aws.config(config)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: success(near) == [])
        assert not select(running.series(), m.COLLECTOR_UP.name, collector="connectivity")
