"""What S3 says of a new object, as a queue gets it: plain, through SNS, or from EventBridge.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

from moto.sqs.models import sqs_backends

from exporter.simulator.buckets import Stored
from exporter.simulator.state import Queue, Row, Where, World


class Notifications:
    """Sends to the world's queues in moto; what is random is drawn from the seed."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = Random(seed)

    def create(self) -> None:
        """Make the queues, and send each the test event that a new notification begins with."""
        for where, queue in self._queues():
            backend = _backend(where)
            if queue.name not in backend.queues:
                backend.create_queue(queue.name)
                # EventBridge has no such event.
                if queue.envelope != "eventbridge":
                    self._send(where, queue, self._test_event(queue.bucket))

    def drop(self) -> None:
        """Remove the queues."""
        for where, queue in self._queues():
            _backend(where).queues.pop(queue.name, None)

    def created(self, stored: Stored) -> None:
        """Tell the queues of the object's bucket that it is there."""
        for where, queue in self._queues():
            backend = _backend(where)
            if queue.bucket != stored.bucket or queue.name not in backend.queues:
                continue
            event = (
                self._from_event_bridge(where, stored)
                if queue.envelope == "eventbridge"
                else self._record(where, stored)
            )
            twice = self._random.random() < queue.duplicates
            for _ in range(2 if twice else 1):
                self._send(where, queue, event)

    def urls(self, base: str) -> list[str]:
        """Return the queues' URLs at the simulator's own URL."""
        return [f"{base}/{where.account}/{queue.name}" for where, queue in self._queues()]

    def _queues(self) -> Iterator[tuple[Where, Queue]]:
        for where, queues in self._world.queues.items():
            for queue in queues:
                yield Where(*where), queue

    def _send(self, where: Where, queue: Queue, event: Row) -> None:
        body = json.dumps(event)
        if queue.envelope == "sns":
            body = json.dumps(self._through_sns(where, queue, body))
        _backend(where).send_message(queue.name, body)

    def _test_event(self, bucket: str) -> Row:
        return {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _now(),
            "Bucket": bucket,
            "RequestId": self._hex(16),
            "HostId": self._hex(48),
        }

    def _record(self, where: Where, stored: Stored) -> Row:
        return {
            "Records": [
                {
                    "eventVersion": "2.1",
                    "eventSource": "aws:s3",
                    "awsRegion": where.region,
                    "eventTime": _now(),
                    "eventName": "ObjectCreated:Put",
                    "userIdentity": {"principalId": "AWS:delivery.logs.amazonaws.com"},
                    "requestParameters": {"sourceIPAddress": "192.0.2.10"},
                    "responseElements": {
                        "x-amz-request-id": self._hex(16),
                        "x-amz-id-2": self._hex(48),
                    },
                    "s3": {
                        "s3SchemaVersion": "1.0",
                        "configurationId": "flow-logs",
                        "bucket": {
                            "name": stored.bucket,
                            "ownerIdentity": {"principalId": "A3NL1KOZZKEXAMPLE"},
                            "arn": f"arn:aws:s3:::{stored.bucket}",
                        },
                        "object": {
                            "key": quote_plus(stored.key, safe="/"),
                            "size": stored.size,
                            "eTag": stored.etag,
                            "sequencer": self._hex(18),
                        },
                    },
                }
            ]
        }

    def _from_event_bridge(self, where: Where, stored: Stored) -> Row:
        return {
            "version": "0",
            "id": self._uuid(),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": where.account,
            "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "region": where.region,
            "resources": [f"arn:aws:s3:::{stored.bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": stored.bucket},
                "object": {
                    "key": stored.key,
                    "size": stored.size,
                    "etag": stored.etag,
                    "sequencer": self._hex(18),
                },
                "request-id": self._hex(16),
                "requester": "delivery.logs.amazonaws.com",
                "source-ip-address": "192.0.2.10",
                "reason": "PutObject",
            },
        }

    def _through_sns(self, where: Where, queue: Queue, message: str) -> Row:
        topic = f"arn:aws:sns:{where.region}:{where.account}:{queue.bucket}"
        return {
            "Type": "Notification",
            "MessageId": self._uuid(),
            "TopicArn": topic,
            "Subject": "Amazon S3 Notification",
            "Message": message,
            "Timestamp": _now(),
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertURL": f"https://sns.{where.region}.amazonaws.com/EXAMPLE.pem",
            "UnsubscribeURL": f"https://sns.{where.region}.amazonaws.com/?Action=Unsubscribe"
            f"&SubscriptionArn={topic}:{self._uuid()}",
        }

    def _hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}X}"

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def _backend(where: Where) -> Any:
    return sqs_backends[where.account][where.region]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
