"""Messages of an SQS queue: taken for a while, deleted when they are done with.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from exporter.aws.session import Aws
from exporter.config import Account
from exporter.model import Scope

# At most so many come at a time.
MESSAGES = 10
_REGION = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z0-9-]+)\.|^([a-z0-9-]+)\.queue\.")
# An envelope within an envelope within an envelope is nobody's.
_DEEPEST = 3


class Letter(NamedTuple):
    """A message as it came; `receipt` deletes it."""

    receipt: str
    body: str


def region_of(url: str) -> str | None:
    """Return the Region of a queue's URL; None where it does not say."""
    found = _REGION.search(urlsplit(url).hostname or "")
    return (found[1] or found[2]) if found else None


def client(aws: Aws, url: str) -> Any:
    """Return the client for a queue, with the process's own credentials; raises what boto3 does."""
    own = aws.own_account("")
    region = region_of(url) or aws.region or "us-east-1"
    return aws.other_client(Scope(own.id, region), Account(), "sqs")


def receive(sqs: Any, url: str, hidden: float) -> list[Letter]:
    """Return some messages, which nobody else gets for so many seconds; none when there are none.

    Raises what boto3 raises.
    """
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=MESSAGES, VisibilityTimeout=max(1, int(hidden))
    )
    return [Letter(r["ReceiptHandle"], r.get("Body") or "") for r in answer.get("Messages", ())]


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


def opened(body: str, is_it: str) -> Mapping[str, Any]:
    """Return the notification in a body, which SNS may have put into a text of its own.

    What has the member `is_it` is taken as it is. Raises ValueError, TypeError, AttributeError or
    RecursionError for what is no notification.
    """
    found = json.loads(body)
    for _ in range(_DEEPEST):
        if is_it in found or "Message" not in found:
            break
        found = json.loads(found["Message"])
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found
