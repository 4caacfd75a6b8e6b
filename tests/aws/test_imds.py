"""Where this host is, by the instance metadata service, and where there is none."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from exporter.aws.imds import Host, host
from exporter.aws.session import Aws
from exporter.simulator.server import Simulator


@pytest.fixture
def silent() -> Iterator[str]:
    """Something that takes connections and never answers: the hop limit ate the answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_the_vpc_of_this_host(simulated: Simulator) -> None:
    """A token is fetched first, and with it the VPC and its blocks."""
    vpc = simulated.world.table("Vpcs")[0]
    simulated.world.host_vpc = vpc["VpcId"]
    assert host(simulated.url) == Host(vpc["VpcId"], (ip_network(vpc["CidrBlock"]),))
    assert host(simulated.url + "/") == host(simulated.url)


def test_no_metadata(simulated: Simulator) -> None:
    """Something else that listens there is no metadata service."""
    with pytest.raises(OSError, match="answers 404"):
        host(simulated.url)


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "closed"])
def test_it_is_absent_quickly(silent: str, listens: bool) -> None:
    """An answer that never comes is not waited for: it must not delay the start."""
    began = time.monotonic()
    with pytest.raises(OSError, match="no instance metadata"):
        host(silent if listens else "http://127.0.0.1:9/")
    assert time.monotonic() - began < 5


def test_rubbish_is_refused(simulated: Simulator) -> None:
    """A VPC id that is none is not believed."""
    simulated.world.table("Vpcs")[0]["VpcId"] = "<html>"
    simulated.world.host_vpc = "<html>"
    with pytest.raises(OSError, match="gives '<html>' as VPC"):
        host(simulated.url)


@pytest.mark.parametrize(
    ("variable", "value", "endpoint"),
    [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://192.0.2.1/", "http://192.0.2.1/"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6", "http://[fd00:ec2::254]/"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv4", "http://169.254.169.254/"),
    ],
)
def test_boto3_s_settings_say_where(
    simulated: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    endpoint: str,
) -> None:
    """The service is asked where boto3 would ask it."""
    monkeypatch.setenv(variable, value)
    assert Aws().metadata_endpoint == endpoint
