"""Following changes: passes over LookupEvents, and queues of EventBridge's events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.aws.session import Aws, OwnAccount
from exporter.changes import ChangeQueue, Following
from exporter.model import Change, Scope
from exporter.publisher import Publisher
from exporter.schedule import Threads
from exporter.trail import KEEP, OVERLAP, Trail
from tests.aws.cloudtrail import NOW, SCOPE, CloudTrail, event

URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/changes"


def revoked(id_: str, at: float = NOW - 60, **more: Any) -> dict[str, Any]:
    return event(request={"groupId": "sg-0a1"}, at=at, id_=id_, **more)


class Passes:
    """Passes over a CloudTrail, whose clock is set by hand."""

    def __init__(self, cloudtrail: CloudTrail, interval: float = 10.0) -> None:
        self.cloudtrail = cloudtrail
        self.now = NOW
        self.trail = Trail(SCOPE, NOW)
        self.publisher = Publisher(lambda: self.now, dict, lambda: True)
        self.publisher.watch(SCOPE)
        self.interval = interval

    def run(self, *moments: float) -> list[Mapping[str, str]]:
        """Make a pass at each of these seconds after the start; return their problems."""

        async def main() -> list[Mapping[str, str]]:
            following = Following(
                self.trail,
                lambda service: {"cloudtrail": self.cloudtrail}[service],
                Threads(),
                self.publisher,
                lambda: self.now,
                self.interval,
                pause=0.0,
            )
            problems = []
            for moment in moments:
                self.now = NOW + moment
                problems.append(await following.read())
            return problems

        return asyncio.run(main())

    @property
    def found(self) -> list[str]:
        return [change.id for change in self.trail.recorded().changes]


def test_every_page_is_read() -> None:
    """Events on many pages are found, and only those that matter."""
    events = [revoked(f"e{i:03}", NOW - 10 * i - 5) for i in range(120)]
    others = [event("RunInstances", id_=f"x{i}", at=NOW - i) for i in range(120)]
    passes = Passes(CloudTrail(*events, *others))
    assert passes.run(0) == [{}]
    assert passes.found == [f"e{i:03}" for i in range(120)]
    assert len(passes.cloudtrail.asked) == 5
    first = passes.cloudtrail.asked[0]
    assert first["StartTime"].timestamp() == NOW - KEEP
    assert first["EndTime"].timestamp() == NOW


def test_later_passes_read_half_an_hour_again() -> None:
    """An event that appears late is found, and one that was found counts once."""
    passes = Passes(CloudTrail(revoked("a", NOW + 1)))
    passes.run(0, 300)
    passes.cloudtrail.events.append(revoked("late", NOW - 600))
    passes.run(600)
    assert passes.cloudtrail.asked[-1]["StartTime"].timestamp() == NOW + 300 - OVERLAP
    assert passes.found == ["a", "late"]
    assert passes.trail.recorded().counts == {("RevokeSecurityGroupIngress", "ok"): 1}


def test_a_long_history_takes_several_passes() -> None:
    """The newest first: the first passes are bounded, what is new is read before what was left."""
    history = [revoked(f"h{i:04}", NOW - 20 * i - 5) for i in range(2500)]
    passes = Passes(CloudTrail(*history))
    assert passes.run(0) == [{}]
    assert len(passes.cloudtrail.asked) == 20
    assert passes.found == [f"h{i:04}" for i in range(1000)]
    assert passes.trail.recorded().unread
    passes.cloudtrail.events.append(revoked("new", NOW + 200))
    count = 1
    while passes.trail.recorded().unread:
        assert passes.run(300 * count) == [{}]
        assert passes.found[0] == "new"
        count += 1
    assert len(passes.found) == 2000
    assert count < 12


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("ThrottlingException", "throttled"),
        ("AccessDeniedException", "denied"),
        ("InternalError", "error"),
    ],
)
def test_a_call_fails(code: str, outcome: str) -> None:
    """What was found before stays, the problem is said, and the next pass reads what is missing."""
    events = [revoked(f"e{i:03}", NOW - 10 * i - 5) for i in range(120)]
    passes = Passes(CloudTrail(*events))
    passes.cloudtrail.refusals = ["", code]
    (problems,) = passes.run(0)
    assert code in problems["events"]
    assert len(passes.found) == 50
    recorded = passes.trail.recorded()
    assert recorded.problem is not None
    assert recorded.problem.outcome == outcome
    assert recorded.unread == ((NOW - KEEP, NOW - 10 * 49 - 5),)
    assert passes.run(300) == [{}]
    assert len(passes.found) == 120
    assert passes.trail.recorded().problem is None
    assert passes.trail.recorded().unread == ()


def test_nothing_is_lost_while_it_fails() -> None:
    """After hours of failures all that happened meanwhile is read."""
    passes = Passes(CloudTrail(revoked("before")))
    passes.run(0)
    passes.cloudtrail.refusals = ["AccessDeniedException"] * 3
    passes.run(300, 3600, 7200)
    passes.cloudtrail.events += [revoked("one", NOW + 100), revoked("two", NOW + 5000)]
    assert passes.run(7500) == [{}]
    assert passes.found == ["two", "one", "before"]
    assert sum(passes.trail.recorded().counts.values()) == 2


def test_more_than_can_be_asked_for() -> None:
    """When new events come faster than they may be read, the collector says so."""
    passes = Passes(CloudTrail())
    passes.run(0)
    passes.cloudtrail.events = [revoked(f"e{i}", NOW + i / 4) for i in range(1200)]
    (problems,) = passes.run(300)
    assert "still unread" in problems["events"]
    assert passes.run(305, 310)[-1] != {}


def test_an_event_that_cannot_be_read() -> None:
    """It is told, and the others are found all the same."""
    passes = Passes(CloudTrail(revoked("a"), revoked("b", raw="{"), revoked("c", raw="5")))
    assert passes.run(0) == [{"unreadable": "events that are none that can be read"}]
    assert passes.found == ["a"]


class Sqs:
    """A queue that has these bodies until they are deleted."""

    def __init__(self, *bodies: Any) -> None:
        self.left = {
            f"r{i}": body if isinstance(body, str) else json.dumps(body)
            for i, body in enumerate(bodies)
        }

    def receive_message(self, **asked: Any) -> Mapping[str, Any]:
        assert asked["QueueUrl"] == URL
        rows = [{"ReceiptHandle": r, "Body": body} for r, body in self.left.items()][:10]
        return {"Messages": rows} if rows else {}

    def delete_message_batch(self, **asked: Any) -> Mapping[str, Any]:
        for entry in asked["Entries"]:
            del self.left[entry["ReceiptHandle"]]
        return {}


class OneQueue(Aws):
    """Access to nothing but that queue."""

    def __init__(self, sqs: Sqs) -> None:
        super().__init__()
        self._sqs = sqs

    def own_account(self, region: str) -> OwnAccount:
        return OwnAccount("111122223333", "aws", "arn:aws:iam::111122223333:root")

    def other_client(self, scope: Scope, account: object, service: str) -> Any:
        assert (scope, service) == (Scope("111122223333", "eu-west-1"), "sqs")
        return self._sqs


def read_queue(sqs: Sqs, *trails: Trail) -> Mapping[str, str]:
    publisher = Publisher(lambda: NOW, dict, lambda: True)
    queue = ChangeQueue(
        URL,
        10.0,
        OneQueue(sqs),
        Threads(),
        {trail.scope: trail for trail in trails},
        publisher,
        lambda: NOW,
    )
    return asyncio.run(queue.read())


def bridge(detail: Any, kind: str = "AWS API Call via CloudTrail") -> Any:
    """Return an event as EventBridge delivers it."""
    return {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": kind,
        "source": "aws.ec2",
        "account": SCOPE.account,
        "time": "2025-10-09T08:53:20Z",
        "region": SCOPE.region,
        "resources": [],
        "detail": detail,
    }


def sns(body: Any) -> Any:
    return {"Type": "Notification", "MessageId": "m", "Message": json.dumps(body)}


def changes_of(trail: Trail) -> tuple[Change, ...]:
    return trail.recorded().changes


def test_events_of_a_queue() -> None:
    """Each counts once, however often it is delivered, by SNS or not; all are deleted."""
    trail = Trail(SCOPE, NOW - 3600)
    event_ = bridge(revoked("a"))
    sqs = Sqs(event_, sns(event_), event_, bridge(revoked("b")), *[bridge(revoked("c"))] * 20)
    assert read_queue(sqs, trail) == {}
    assert {change.id for change in changes_of(trail)} == {"a", "b", "c"}
    assert trail.recorded().counts == {("RevokeSecurityGroupIngress", "ok"): 3}
    assert sqs.left == {}


def test_told_by_both() -> None:
    """What a queue brought and LookupEvents tells later is one change."""
    passes = Passes(CloudTrail(revoked("a", NOW + 1)))
    passes.trail = Trail(SCOPE, NOW)
    read_queue(Sqs(bridge(revoked("a", NOW + 1))), passes.trail)
    passes.run(60)
    assert passes.found == ["a"]
    assert passes.trail.recorded().counts == {("RevokeSecurityGroupIngress", "ok"): 1}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "null",
        "5",
        "[]",
        '"detail"',
        "[" * 100_000,
        {},
        bridge(None),
        bridge("text"),
        bridge({}),
        bridge([revoked("a")]),
        bridge(revoked("a"), kind="EC2 Instance State-change Notification"),
        bridge(revoked("a", recipientAccountId="999999999999")),
        bridge(revoked("a", awsRegion="us-east-1")),
        bridge(revoked("a", recipientAccountId=None)),
        bridge(revoked("a", eventName="RunInstances")),
        bridge(revoked("a", at=NOW - KEEP - 10)),
        bridge(revoked("a", at=NOW + KEEP)),
        sns(sns(sns(sns(bridge(revoked("a")))))),
        {"Records": [{"eventSource": "aws:s3"}]},
    ],
    ids=lambda body: repr(body)[:50],
)
def test_what_is_not_trusted(body: Any) -> None:
    """Rubbish, other accounts and Regions, other times: deleted, and nothing else."""
    trail = Trail(SCOPE, NOW - 3600)
    sqs = Sqs(body, bridge(revoked("good")))
    assert read_queue(sqs, trail) == {}
    assert [change.id for change in changes_of(trail)] == ["good"]
    assert sqs.left == {}
