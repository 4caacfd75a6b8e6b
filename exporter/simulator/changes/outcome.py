"""What comes of a call that changes the world, and how CloudTrail writes requests and answers.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from exporter.simulator.state import Row
from exporter.simulator.wire import AwsError, api

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class Outcome(NamedTuple):
    """The answer of a call, what CloudTrail has as such, and types and names of resources."""

    answer: Row
    told: Row | None
    resources: Sequence[tuple[str, str]] = ()


def done(told: Row | None = None, **resources: str) -> Outcome:
    """Return what most of EC2's older calls answer: true.

    `resources` are names by the type of EC2, such as SecurityGroup.
    """
    return Outcome({"Return": True}, {**returned(), **(told or {})}, named(**resources))


def named(**resources: str) -> Sequence[tuple[str, str]]:
    """Return EC2's resources as CloudTrail lists them."""
    return [(f"AWS::EC2::{kind}", name) for kind, name in resources.items()]


def returned() -> Row:
    """Return what CloudTrail has of an answer that is true."""
    return {"requestId": str(uuid.uuid4()), "_return": True}


def nested(name: str, **answer: Any) -> Row:
    """Return the answer of one of EC2's newer calls as CloudTrail has it."""
    head = {"xmlns": NAMESPACE, "requestId": str(uuid.uuid4())}
    return {f"{name}Response": {**head, **answer}}


def tagged(values: Sequence[str]) -> Row | list[Row]:
    """Return a list as CloudTrail writes it in nested requests; one value stands alone."""
    rows = [{"tag": i, "content": value} for i, value in enumerate(values, start=1)]
    return rows[0] if len(rows) == 1 else rows


def asked_flat(name: str, request: Row) -> Row:
    """Return a request of EC2's older calls as CloudTrail has it: lists are items."""

    def value(one: Any) -> Any:
        if isinstance(one, dict):
            return {lower(k): value(v) for k, v in one.items()}
        if isinstance(one, list):
            return {"items": [value(x) for x in one]} if one else {}
        return one

    found: Row = value(request)
    return found


def asked_nested(name: str, request: Row) -> Row:
    """Return a request of EC2's newer calls as CloudTrail has it, by the names on the wire."""
    shape = api("ec2").operation(name).input_shape
    assert shape is not None
    found = {}
    for key, value in request.items():
        wire = shape.members[key].serialization.get("name", key)
        wire = wire[:1].upper() + wire[1:]
        found[wire] = tagged(value) if isinstance(value, list) else value
    return {f"{name}Request": found}


def asked_elb(name: str, request: Row) -> Row:
    """Return a request of Elastic Load Balancing's as CloudTrail has it."""
    found: Row = lowered(request)
    return found


def lowered(value: Any) -> Any:
    """Return rows with the first letter of each key in lower case."""
    if isinstance(value, dict):
        return {lower(k): lowered(v) for k, v in value.items()}
    return [lowered(v) for v in value] if isinstance(value, list) else value


def lower(key: str) -> str:
    """Return a key as CloudTrail writes it."""
    return key[:1].lower() + key[1:]


def missing(what: str, name: object) -> AwsError:
    """Return EC2's error for an id that does not exist."""
    return AwsError(f"{what}.NotFound", f"The ID '{name}' does not exist")


def one_of(rows: Iterable[Row], key: str, name: object, what: str) -> Row:
    """Return the row that has the id; raises AwsError."""
    for row in rows:
        if row[key] == name:
            return row
    raise missing(what, name)


def refused(name: str, code: str, why: str) -> Row:
    """Return what EC2 says of one of several that it could not change."""
    return {"Error": {"Code": code, "Message": why}, "ResourceId": name}


def refused_told(rows: Sequence[Row]) -> Any:
    """Return the same as CloudTrail has it."""
    return {"item": [lowered(row) for row in rows]} if rows else ""
