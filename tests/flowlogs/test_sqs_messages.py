"""Messages of a queue: three envelopes, and what is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.aws.queues import delete, region_of
from exporter.flowlogs.sources.sqs import Message, Named, receive

KEY = (
    "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2023/11/14/"
    "111122223333_vpcflowlogs_eu-west-1_fl-0a1_20231114T2215Z_0a1b2c3d.log.gz"
)
HERE = (Named("logs", KEY),)
URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/flow-logs"


class Queue:
    """A queue that has these bodies."""

    def __init__(self, *bodies: Any) -> None:
        self.bodies = bodies
        self.deleted: list[str] = []

    def receive_message(self, **asked: Any) -> Mapping[str, Any]:
        assert asked == {"QueueUrl": URL, "MaxNumberOfMessages": 10, "VisibilityTimeout": 30}
        rows = [
            {"ReceiptHandle": f"r{i}", "MessageId": "m", "Body": body}
            for i, body in enumerate(self.bodies)
        ]
        return {"Messages": rows} if rows else {}

    def delete_message_batch(self, **asked: Any) -> Mapping[str, Any]:
        entries: Sequence[Mapping[str, str]] = asked["Entries"]
        assert 1 <= len(entries) <= 10
        assert len({entry["Id"] for entry in entries}) == len(entries)
        self.deleted += [entry["ReceiptHandle"] for entry in entries]
        failed = [e for e in entries if e["ReceiptHandle"] == "r13"]
        return {"Failed": [{"Id": e["Id"], "Code": "InternalError"} for e in failed]}


def message(body: Any) -> Message:
    """Return the message that a body makes; what is no text is written as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    (found,) = receive(Queue(text), URL, 30)
    return found


def record(key: str = KEY, event: str = "ObjectCreated:Put", source: str = "aws:s3") -> Any:
    """Return a record as S3 writes it."""
    return {
        "eventVersion": "2.1",
        "eventSource": source,
        "awsRegion": "eu-west-1",
        "eventTime": "2023-11-14T22:20:00.000Z",
        "eventName": event,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "logs", "arn": "arn:aws:s3:::logs"},
            "object": {"key": key, "size": 1024, "eTag": "0a1b", "sequencer": "0055"},
        },
    }


def sns(body: Any) -> Any:
    """Return what SNS makes of a body."""
    return {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:files",
        "Subject": "Amazon S3 Notification",
        "Message": body if isinstance(body, str) else json.dumps(body),
        "Timestamp": "2023-11-14T22:20:00.000Z",
    }


def bridge(key: str = KEY, kind: str = "Object Created", source: str = "aws.s3") -> Any:
    """Return an event as EventBridge delivers it."""
    return {
        "version": "0",
        "source": source,
        "account": "111122223333",
        "detail-type": kind,
        "detail": {"version": "0", "bucket": {"name": "logs"}, "object": {"key": key, "size": 1}},
    }


TEST = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs", "RequestId": "x"}


@pytest.mark.parametrize(
    ("body", "files"),
    [
        ({"Records": [record()]}, HERE),
        (sns({"Records": [record()]}), HERE),
        (bridge(), HERE),
        (sns(bridge()), HERE),
        (sns(sns({"Records": [record()]})), HERE),
        (TEST, ()),
        (sns(TEST), ()),
        ({"Records": [record(event="ObjectCreated:CompleteMultipartUpload")]}, HERE),
        ({"Records": [record(event="ObjectCreated:Copy")]}, HERE),
        ({"Records": [record(event="s3:ObjectCreated:Put")]}, HERE),
        ({"Records": [record(event="ObjectRemoved:Delete")]}, ()),
        ({"Records": [record(event="ObjectTagging:Put")]}, ()),
        ({"Records": [record(source="aws:sns")]}, ()),
        ({"Records": [record(event="ObjectRemoved:Delete"), record()]}, HERE),
        ({"Records": [record("a"), record("b")]}, (Named("logs", "a"), Named("logs", "b"))),
        ({"Records": []}, ()),
        (bridge(kind="Object Deleted"), ()),
        (bridge(kind="Object Access Tier Changed"), ()),
    ],
    ids=[
        "S3",
        "SNS",
        "EventBridge",
        "SNS around EventBridge",
        "SNS twice",
        "test",
        "SNS around a test",
        "multipart",
        "copy",
        "with s3:",
        "removed",
        "tagged",
        "not of S3",
        "removed and created",
        "two",
        "none",
        "EventBridge: deleted",
        "EventBridge: tier",
    ],
)
def test_envelopes(body: Any, files: tuple[Named, ...]) -> None:
    """Each envelope names its files; those that rightly name none are no problem."""
    assert message(body) == Message("r0", files)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b.log.gz", "a b.log.gz"),
        ("a%2Bb.log.gz", "a+b.log.gz"),
        ("year%3D2023/month%3D11/a.log.gz", "year=2023/month=11/a.log.gz"),
        ("caf%C3%A9/a.log.gz", "caf\u00e9/a.log.gz"),
        ("100%25/a.log.gz", "100%/a.log.gz"),
        ("%F0%9F%90%88.gz", "\U0001f408.gz"),
    ],
)
def test_keys_are_encoded_by_s3_and_not_by_eventbridge(encoded: str, key: str) -> None:
    """S3 writes keys as in a form; EventBridge writes them as they are."""
    assert message({"Records": [record(encoded)]}).files == (Named("logs", key),)
    assert message(sns({"Records": [record(encoded)]})).files == (Named("logs", key),)
    assert message(bridge(key)).files == (Named("logs", key),)
    assert message(bridge(encoded)).files == (Named("logs", encoded),)


def without(name: str) -> Any:
    found = record()
    del found[name]
    return {"Records": [found]}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "5",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"Records": null}',
        '{"Records": 5}',
        '{"Records": "text"}',
        '{"Records": {"a": 1}}',
        '{"Records": [5]}',
        '{"Message": 5}',
        '{"Message": "hello"}',
        '{"Message": "{}"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": ' + "9" * 5000 + "}",
        "\ud800",
        json.dumps(without("s3")),
        json.dumps(without("eventName")),
        json.dumps(
            {"Records": [record(), {"eventSource": "aws:s3", "eventName": "ObjectCreated"}]}
        ),
        json.dumps({"Records": [record() | {"eventName": None}]}),
        json.dumps({"Records": [record() | {"s3": {"bucket": {}, "object": {"key": "a"}}}]}),
        json.dumps(
            {"Records": [record() | {"s3": {"bucket": {"name": 5}, "object": {"key": "a"}}}]}
        ),
        json.dumps(
            {"Records": [record() | {"s3": {"bucket": {"name": "b"}, "object": {"key": 5}}}]}
        ),
        json.dumps(bridge(source="aws.ec2")),
        json.dumps(bridge() | {"detail": None}),
        json.dumps(bridge() | {"detail": {"bucket": {"name": "b"}, "object": {"key": 5}}}),
        json.dumps(bridge() | {"detail": {"bucket": {"name": ["b"]}, "object": {"key": "a"}}}),
        json.dumps({k: v for k, v in bridge().items() if k != "detail-type"}),
        json.dumps(sns(sns(sns(sns({"Records": [record()]}))))),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_garbage(body: str) -> None:
    """What is no notification names no file and says why; it raises nothing."""
    found = message(body)
    assert found.files == ()
    assert found.problem
    assert found.problem.startswith("no notification of S3: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("aws:s3"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Records",
                    "Message",
                    "source",
                    "detail",
                    "detail-type",
                    "bucket",
                    "object",
                    "s3",
                    "eventSource",
                    "eventName",
                    "key",
                    "name",
                    "Event",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON | st.text())
def test_no_message_breaks_the_reader(body: Any) -> None:
    """Any message names files by texts, or none."""
    for file in message(body).files:
        assert isinstance(file.bucket, str)
        assert isinstance(file.key, str)


def test_a_queue_that_is_empty() -> None:
    """No message is no message; one without a body is garbage."""
    assert receive(Queue(), URL, 30) == []
    (found,) = receive(Queue(None), URL, 30)
    assert found.problem


def test_messages_keep_their_receipts() -> None:
    """Each message has its own receipt, whatever its neighbours are."""
    good = json.dumps({"Records": [record()]})
    found = receive(Queue(good, "garbage", good), URL, 30)
    assert [(m.receipt, len(m.files)) for m in found] == [("r0", 1), ("r1", 0), ("r2", 1)]


def test_deleting_in_tens() -> None:
    """At most ten are deleted at a time, and what could not be is said."""
    queue = Queue()
    receipts = [f"r{i}" for i in range(25)]
    assert delete(queue, URL, receipts) == ["InternalError: "]
    assert queue.deleted == receipts
    assert delete(queue, URL, []) == []


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (URL, "eu-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q", "cn-north-1"),
        ("https://eu-west-1.queue.amazonaws.com/111122223333/q", "eu-west-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/111122223333/q", "us-gov-west-1"),
        ("https://vpce-0a1-0b1.sqs.eu-west-1.vpce.amazonaws.com/111122223333/q", "eu-west-1"),
        ("http://127.0.0.1:4566/111122223333/q", None),
        ("https://queue.amazonaws.com/111122223333/q", None),
        ("", None),
    ],
)
def test_the_region_of_a_queue(url: str, region: str | None) -> None:
    """The URL says where a queue is, if it is one of AWS's."""
    assert region_of(url) == region
