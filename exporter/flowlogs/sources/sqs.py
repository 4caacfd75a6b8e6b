"""Notifications of new files, from an SQS queue: three envelopes around the same two names.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, urlsplit

# At most so many come at a time.
MESSAGES = 10
_REGION = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z0-9-]+)\.|^([a-z0-9-]+)\.queue\.")
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


def region_of(url: str) -> str | None:
    """Return the Region of a queue's URL; None where it does not say."""
    found = _REGION.search(urlsplit(url).hostname or "")
    return (found[1] or found[2]) if found else None


def receive(sqs: Any, url: str, hidden: float) -> list[Message]:
    """Return some messages, which nobody else gets for so many seconds; none when there are none.

    Raises what boto3 raises.
    """
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=MESSAGES, VisibilityTimeout=max(1, int(hidden))
    )
    return [_message(row) for row in answer.get("Messages", ())]


def delete(sqs: Any, url: str, receipts: Sequence[str]) -> list[str]:
    """Delete messages and return why some of them could not be; raises what boto3 raises."""
    failed = []
    for first in range(0, len(receipts), MESSAGES):
        entries = [
            {"Id": str(i), "ReceiptHandle": receipt}
            for i, receipt in enumerate(receipts[first : first + MESSAGES])
        ]
        answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        failed += [f"{row['Code']}: {row.get('Message', '')}" for row in answer.get("Failed", ())]
    return failed


def _message(row: Mapping[str, Any]) -> Message:
    receipt = row["ReceiptHandle"]
    try:
        body = json.loads(row.get("Body") or "")
        files = tuple(_files(body, _DEEPEST))
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
