"""Faults of what flow logs are read from: S3 in its own XML, queues and queries in JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from exporter.simulator.faults import Fault
from exporter.simulator.rest import operation
from exporter.simulator.server import Simulator
from exporter.simulator.state import ACCOUNT, Queue, World
from tests.simulator.conftest import Client, clients_of

BUCKET = "logs-faulty"
# How each operation is called.
CALLS: dict[tuple[str, str], Callable[[Any, str], Any]] = {
    ("s3", "ListBuckets"): lambda s3, _: s3.list_buckets(),
    ("s3", "ListObjectsV2"): lambda s3, _: s3.list_objects_v2(Bucket=BUCKET),
    ("s3", "GetObject"): lambda s3, _: s3.get_object(Bucket=BUCKET, Key="a/b=c")["Body"].read(),
    ("sqs", "ReceiveMessage"): lambda sqs, url: sqs.receive_message(QueueUrl=url),
    ("sqs", "DeleteMessageBatch"): lambda sqs, url: sqs.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": "gone"}]
    ),
    ("athena", "ListWorkGroups"): lambda athena, _: athena.list_work_groups(),
}
CODES = {
    "throttled": {"s3": "SlowDown", "sqs": "RequestThrottled", "": "ThrottlingException"},
    "denied": {"s3": "AccessDenied", "sqs": "AccessDenied", "": "AccessDeniedException"},
    "expired": {"s3": "ExpiredToken", "": "ExpiredTokenException"},
    "error": {"s3": "InternalError", "": "InternalFailure"},
}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Simulator, Client]]:
    world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT})
    where = (ACCOUNT, "eu-west-1")
    world.buckets[where] = [BUCKET]
    world.queues[where] = [Queue("faulty", BUCKET)]
    simulator = Simulator(world)
    simulator.clock.deliveries.buckets.put(BUCKET, "a/b=c", b"content", time.time())
    simulator.start(clock=False)
    yield simulator, clients_of(simulator)
    simulator.stop()


@pytest.fixture
def faulty(running: tuple[Simulator, Client]) -> Iterator[tuple[Simulator, Client]]:
    """The simulator, healthy again afterwards."""
    yield running
    running[0].faults.faults = []


def call(faulty: tuple[Simulator, Client], service: str, name: str) -> Any:
    simulator, client = faulty
    return CALLS[service, name](client(service), simulator.queues()[0])


@pytest.mark.parametrize(("service", "name"), CALLS)
@pytest.mark.parametrize("kind", CODES)
def test_refusals(faulty: tuple[Simulator, Client], service: str, name: str, kind: str) -> None:
    """One operation of a service is refused in its own words, and goes through afterwards."""
    simulator = faulty[0]
    simulator.faults.faults = [Fault(kind, service, name, times=1)]
    with pytest.raises(ClientError) as refused:
        call(faulty, service, name)
    error = refused.value.response["Error"]
    assert error["Code"] == (CODES[kind].get(service) or CODES[kind][""])
    assert error["Message"]
    before = simulator.faults.calls[f"{service}:{name}"]
    call(faulty, service, name)
    assert simulator.faults.calls[f"{service}:{name}"] == before + 1


@pytest.mark.parametrize(("service", "name"), CALLS)
@pytest.mark.parametrize("kind", ["dropped", "timeout"])
def test_broken_connections(
    faulty: tuple[Simulator, Client], service: str, name: str, kind: str
) -> None:
    """A connection that breaks, at once or after a while, is an error of the connection."""
    faulty[0].faults.faults = [Fault(kind, service, name, seconds=0.1)]
    with pytest.raises(HTTPClientError):
        call(faulty, service, name)


def test_malformed(faulty: tuple[Simulator, Client]) -> None:
    """botocore makes a 500 of S3's page that cannot be read; an object has whatever bytes came."""
    faulty[0].faults.faults = [Fault("malformed", "s3")]
    with pytest.raises(ClientError, match="500"):
        call(faulty, "s3", "ListObjectsV2")
    assert call(faulty, "s3", "GetObject") != b"content"


def test_heads_have_no_body(faulty: tuple[Simulator, Client]) -> None:
    """The error of a HEAD is its status alone."""
    simulator, client = faulty
    simulator.faults.faults = [Fault("denied", "s3", "HeadObject")]
    with pytest.raises(ClientError, match="403"):
        client("s3").head_object(Bucket=BUCKET, Key="a/b=c")


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/", "", "ListBuckets"),
        ("GET", "/b", "list-type=2&prefix=x%2F", "ListObjectsV2"),
        ("GET", "/b/", "prefix=x", "ListObjects"),
        ("GET", "/b/k/of/more", "", "GetObject"),
        ("GET", "/b", "location", "GetBucketLocation"),
        ("GET", "/b", "notification", "GetBucketNotificationConfiguration"),
        ("HEAD", "/b", "", "HeadBucket"),
        ("HEAD", "/b/k", "", "HeadObject"),
        ("PUT", "/b/k", "", "PutObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=2", "UploadPart"),
        ("PATCH", "/b", "", ""),
    ],
)
def test_operations_of_s3(method: str, path: str, query: str, expected: str) -> None:
    """Method, depth of the path and query say which operation it is."""
    assert operation(method, path, query) == expected
