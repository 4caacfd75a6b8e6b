"""Faults on purpose: every kind, in every protocol, in the service's own words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

from exporter.simulator.faults import KINDS, Fault
from exporter.simulator.organisation import CONSUMER, PROVIDER, organisation
from exporter.simulator.server import Simulator
from exporter.simulator.wire import api
from exporter.simulator.world import small_world
from tests.simulator.conftest import Client, clients_of

# One operation of each protocol and service: how it is called and its list.
CALLS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "ec2": ("DescribeVpcEndpoints", "describe_vpc_endpoints", {}, "VpcEndpoints"),
    "elbv2": ("DescribeLoadBalancers", "describe_load_balancers", {}, "LoadBalancers"),
    "cloudtrail": ("LookupEvents", "lookup_events", {}, "Events"),
    "organizations": ("ListAccounts", "list_accounts", {}, "Accounts"),
    "logs": ("DescribeLogGroups", "describe_log_groups", {}, "logGroups"),
    "sts": ("GetCallerIdentity", "get_caller_identity", {}, ""),
}
CODES = {
    "throttled": {
        "ec2": "RequestLimitExceeded",
        "elbv2": "Throttling",
        "sts": "Throttling",
        "organizations": "TooManyRequestsException",
        "": "ThrottlingException",
    },
    "denied": {
        "ec2": "UnauthorizedOperation",
        "elbv2": "AccessDenied",
        "sts": "AccessDenied",
        "": "AccessDeniedException",
    },
    "expired": {
        "ec2": "RequestExpired",
        "elbv2": "ExpiredToken",
        "sts": "ExpiredToken",
        "": "ExpiredTokenException",
    },
    "error": {
        "ec2": "InternalError",
        "elbv2": "InternalFailure",
        "sts": "InternalFailure",
        "organizations": "ServiceException",
        "": "InternalFailure",
    },
}


def call(client: Client, service: str) -> Any:
    account = {"elbv2": PROVIDER}.get(service, "")
    found = client(service, account) if account else client(service)
    _, method, parameters, _ = CALLS[service]
    return getattr(found, method)(**parameters)


Faulty = tuple[Simulator, Client]


@pytest.fixture(scope="module")
def running() -> Iterator[Faulty]:
    """A simulator for the faults of this file, and its clients."""
    simulator = Simulator(organisation())
    simulator.start(clock=False)
    client = clients_of(simulator)
    client("ec2", PROVIDER)
    client("ec2", CONSUMER)
    yield simulator, client
    simulator.stop()


@pytest.fixture
def faulty(running: Faulty) -> Iterator[Faulty]:
    """The simulator, healthy again afterwards."""
    yield running
    running[0].faults.faults = []


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("kind", sorted(CODES))
def test_refusals(faulty: Faulty, service: str, kind: str) -> None:
    """A service refuses in its own words; the same call goes through when the fault is over."""
    simulator, client = faulty
    operation = CALLS[service][0]
    simulator.faults.faults = [Fault(kind, service, operation)]
    expected = CODES[kind].get(service) or CODES[kind][""]
    with pytest.raises(ClientError) as refused:
        call(client, service)
    assert refused.value.response["Error"]["Code"] == expected
    assert refused.value.response["Error"]["Message"]
    status = refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert (status >= 500) == (kind == "error" or (kind, service) == ("throttled", "ec2"))
    simulator.faults.faults = []
    call(client, service)


@pytest.mark.parametrize("service", CALLS)
def test_malformed(faulty: Faulty, service: str) -> None:
    """XML that cannot be read raises; of such JSON botocore makes an answer without its rows."""
    simulator, client = faulty
    simulator.faults.faults = [Fault("malformed", service)]
    if api(service).protocol == "json":
        assert CALLS[service][3] not in call(client, service)
        return
    with pytest.raises(ResponseParserError):
        call(client, service)


@pytest.mark.parametrize("service", CALLS)
def test_dropped(faulty: Faulty, service: str) -> None:
    """A connection that breaks is an error of the connection."""
    simulator, client = faulty
    simulator.faults.faults = [Fault("dropped", service)]
    with pytest.raises(HTTPClientError):
        call(client, service)


@pytest.mark.parametrize("service", [s for s in CALLS if CALLS[s][3]])
def test_empty_pages(faulty: Faulty, service: str) -> None:
    """An empty page with a token is legal; who follows it gets everything."""
    simulator, client = faulty
    operation, method, _, key = CALLS[service]
    account = {"elbv2": PROVIDER}.get(service, "")
    found = client(service, account) if account else client(service)
    simulator.faults.faults = []
    whole = call(client, service)[key]
    assert whole or service == "cloudtrail"
    simulator.faults.faults = [Fault("empty_page", service, operation)]
    pages = list(found.get_paginator(method).paginate())
    simulator.faults.faults = []
    assert [len(page.get(key, [])) for page in pages] == [0, len(whole)]
    assert pages[1].get(key, []) == whole


def test_empty_pages_pass_by_what_has_none(faulty: Faulty) -> None:
    """An operation without pages is answered as ever."""
    simulator, client = faulty
    simulator.faults.faults = [Fault("empty_page")]
    assert client("ec2").describe_regions()["Regions"]
    assert client("sts").get_caller_identity()["Account"]


def test_a_timeout_takes_its_time_or_until_it_is_cleared(faulty: Faulty) -> None:
    """A call that hangs ends after its seconds, and at once when the fault is cleared."""
    simulator, client = faulty
    simulator.faults.faults = [Fault("timeout", "ec2", seconds=0.3)]
    began = time.monotonic()
    with pytest.raises(HTTPClientError):
        call(client, "ec2")
    assert 0.3 <= time.monotonic() - began < 2
    simulator.faults.faults = [Fault("timeout", "ec2", seconds=60)]
    clear = threading.Timer(0.3, lambda: setattr(simulator.faults, "faults", []))
    clear.start()
    began = time.monotonic()
    with pytest.raises(HTTPClientError):
        call(client, "ec2")
    assert time.monotonic() - began < 2
    clear.join()


def test_a_timeout_ends_with_the_simulator() -> None:
    """Nobody hangs on a simulator that has stopped."""
    simulator = Simulator(small_world())
    simulator.start(clock=False)
    simulator.faults.faults = [Fault("timeout", "ec2", seconds=60)]
    client = clients_of(simulator)
    client("ec2")
    stop = threading.Timer(0.3, simulator.stop)
    stop.start()
    began = time.monotonic()
    with pytest.raises(HTTPClientError):
        call(client, "ec2")
    assert time.monotonic() - began < 2
    stop.join()


def test_where_a_fault_hits(faulty: Faulty) -> None:
    """A fault is limited to a service, an operation, an account and a Region."""
    simulator, client = faulty
    simulator.faults.faults = [
        Fault("denied", "ec2", "DescribeVpcs", account=CONSUMER, region="us-east-1")
    ]
    client("ec2", CONSUMER).describe_vpcs()
    client("ec2", PROVIDER, "us-east-1").describe_vpcs()
    client("ec2", CONSUMER, "us-east-1").describe_subnets()
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        client("ec2", CONSUMER, "us-east-1").describe_vpcs()
    simulator.faults.faults = [Fault("denied", "sts", "AssumeRole", account=PROVIDER)]
    sts = client("sts")
    role = "arn:aws:iam::{}:role/privatelink-exporter"
    sts.assume_role(RoleArn=role.format(CONSUMER), RoleSessionName="tests")
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=role.format(PROVIDER), RoleSessionName="tests")
    simulator.faults.faults = [Fault("throttled", "elasticloadbalancing")]
    with pytest.raises(ClientError, match="Throttling"):
        call(client, "elbv2")


def test_faults_that_go_by_themselves(faulty: Faulty) -> None:
    """A fault ends after so many calls, or so many seconds."""
    simulator, client = faulty
    simulator.faults.faults = [Fault("error", "ec2", times=2)]
    for _ in range(2):
        with pytest.raises(ClientError):
            call(client, "ec2")
    call(client, "ec2")
    assert simulator.faults.faults == []
    simulator.faults.faults = [Fault("error", "ec2", duration=0.3)]
    with pytest.raises(ClientError):
        call(client, "ec2")
    time.sleep(0.35)
    call(client, "ec2")


def test_control_over_http(faulty: Faulty) -> None:
    """Faults, calls and resolvers are steered over HTTP; nonsense is refused."""
    simulator, client = faulty
    base = f"{simulator.url}/_simulator"
    wanted = [{"kind": "denied", "service": "ec2", "duration": 30}]
    (given,) = httpx.post(f"{base}/faults", json=wanted).raise_for_status().json()
    assert (given["kind"], given["account"], given["times"]) == ("denied", "", None)
    assert httpx.post(f"{base}/faults", json=[{"kind": "none"}]).status_code == 400
    assert httpx.post(f"{base}/faults", json=[]).json() == []
    assert httpx.post(f"{base}/dns", json={"": "strange"}).status_code == 400
    assert httpx.get(f"{base}/nothing").status_code == 404
    before = httpx.get(f"{base}/calls/by-scope").json()
    client("ec2", CONSUMER, "us-east-1").describe_vpcs()
    after = httpx.get(f"{base}/calls/by-scope").json()
    key = f"ec2:DescribeVpcs:{CONSUMER}:us-east-1"
    assert after[key] == before.get(key, 0) + 1
    assert httpx.get(f"{base}/calls").json()["ec2:DescribeVpcs"] >= after[key]
    assert "secrets" in httpx.get(f"{base}/scenarios").json()


def test_every_kind_is_tested() -> None:
    """A kind of fault that is added is put into a test above."""
    assert set(KINDS) == {*CODES, "timeout", "dropped", "malformed", "empty_page"}


def test_latency() -> None:
    """Each call can be made to take its time."""
    simulator = Simulator(small_world(), latency=0.2)
    simulator.start(clock=False)
    ec2 = clients_of(simulator)("ec2")
    began = time.monotonic()
    ec2.describe_vpcs()
    assert time.monotonic() - began >= 0.2
    simulator.stop()
