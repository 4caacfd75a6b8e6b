"""Notifications of new files, from an SQS queue: three envelopes around the same two names.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from exporter.aws import queues
from exporter.aws.queues import Letter

# An envelope within an envelope within an envelope is nobody's.
_DEEPEST = 3


class Named(NamedTuple):
    """A file that a message names."""

    bucket: str
    key: str


class Message(NamedTuple):
    """A message: the files that it names, or why it names none; `receipt` deletes it.

    `problem` is None for a message that rightly names none, such as S3's own test.
    """

    receipt: str
    files: tuple[Named, ...] = ()
    problem: str | None = None


def receive(sqs: Any, url: str, hidden: float) -> list[Message]:
    """Return some messages, which nobody else gets for so many seconds; none when there are none.

    Raises what boto3 raises.
    """
    return [_message(letter) for letter in queues.receive(sqs, url, hidden)]


def _message(letter: Letter) -> Message:
    receipt = letter.receipt
    try:
        files = tuple(_files(json.loads(letter.body), _DEEPEST))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        return Message(receipt, (), f"no notification of S3: {type(error).__name__}: {error}")
    return Message(receipt, files)


def _files(body: Any, deepest: int) -> Iterator[Named]:
    """Yield the files that a notification names; raises ValueError for what is none."""
    if body.get("Event") == "s3:TestEvent":
        return
    if "Records" in body:
        for record in body["Records"]:
            if record.get("eventSource") == "aws:s3" and "ObjectCreated" in record["eventName"]:
                # Keys are encoded as in a form: a space is a plus.
                found = record["s3"]
                yield _named(found, unquote_plus(found["object"]["key"]))
    elif body.get("source") == "aws.s3":
        if body["detail-type"] == "Object Created":
            yield _named(body["detail"], body["detail"]["object"]["key"])
    elif "Message" in body and deepest:
        # Through SNS, which puts what it got into a text.
        yield from _files(json.loads(body["Message"]), deepest - 1)
    else:
        raise ValueError("neither records, nor an event, nor a message")


def _named(found: Any, key: Any) -> Named:
    bucket = found["bucket"]["name"]
    if not (isinstance(bucket, str) and isinstance(key, str)):
        raise TypeError("a bucket or a key that is no text")
    return Named(bucket, key)
