"""What an endpoint's policy lets through: only one that lets nothing through is a fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.analysis.lab import CONSUMER, DENIED, Lab, finding

ALL = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
DENY_ALL = {**ALL, "Effect": "Deny"}
ORG = {"StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}
QUEUE = "arn:aws:sqs:eu-west-1:222233334444:orders"

POLICIES: dict[str, tuple[list[Any] | dict[str, Any], str, str]] = {
    "the default lets everything through": ([ALL], "pass", "everything through"),
    "a single statement need not be a list": (ALL, "pass", "everything through"),
    "all of the service's own actions are everything": (
        [{**ALL, "Action": "sqs:*"}],
        "pass",
        "everything through",
    ),
    "all AWS principals are everybody": (
        [{**ALL, "Principal": {"AWS": "*"}}],
        "pass",
        "everything through",
    ),
    "one queue is allowed": (
        [{**ALL, "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"], "Resource": QUEUE}],
        "pass",
        f"allows sqs:SendMessage, sqs:ReceiveMessage on {QUEUE} to everybody",
    ),
    "one account is allowed under conditions": (
        [{**ALL, "Principal": {"AWS": ["222233334444"]}, "Condition": ORG}],
        "pass",
        "to 222233334444 under conditions",
    ),
    "all is allowed but some actions": (
        [{"Effect": "Allow", "Principal": "*", "NotAction": "sqs:DeleteQueue", "Resource": "*"}],
        "pass",
        "everything but sqs:DeleteQueue",
    ),
    "there is no statement": ([], "fail", "allows nothing"),
    "everything is denied, and nothing allowed": ([DENY_ALL], "fail", "denies everything"),
    "everything is denied beside what is allowed": ([ALL, DENY_ALL], "fail", "denies everything"),
    "some is denied, and nothing allowed": (
        [{**DENY_ALL, "Action": "sqs:DeleteQueue"}],
        "fail",
        "allows nothing",
    ),
    "all of the service's own actions are denied": (
        [ALL, {**DENY_ALL, "Action": ["SQS:*"]}],
        "fail",
        "denies everything",
    ),
    "all actions of another service are denied": (
        [ALL, {**DENY_ALL, "Action": "s3:*"}],
        "pass",
        "denies s3:* on everything to everybody",
    ),
    "everybody but the organisation is denied": (
        [ALL, {**DENY_ALL, "Condition": ORG}],
        "pass",
        "under conditions",
    ),
    "everybody but one is denied": (
        [ALL, {"Effect": "Deny", "NotPrincipal": {"AWS": "222233334444"}, "Action": "*",
               "Resource": "*"}],
        "pass",
        "everybody but 222233334444",
    ),
    "everything but some actions is denied": (
        [ALL, {"Effect": "Deny", "Principal": "*", "NotAction": "sqs:Get*", "Resource": "*"}],
        "pass",
        "everything but sqs:Get*",
    ),
    "everything but one queue is denied": (
        [ALL, {"Effect": "Deny", "Principal": "*", "Action": "*", "NotResource": QUEUE}],
        "pass",
        f"everything but {QUEUE}",
    ),
    "one principal is denied": (
        [ALL, {**DENY_ALL, "Principal": {"AWS": "arn:aws:iam::222233334444:role/intern"}}],
        "pass",
        "role/intern",
    ),
    "all services as principals are not everybody": (
        [ALL, {**DENY_ALL, "Principal": {"Service": "*"}}],
        "pass",
        "restricts",
    ),
    "a deny that says nothing of resources does not deny all of them": (
        [ALL, {"Effect": "Deny", "Principal": "*", "Action": "*"}],
        "pass",
        "restricts",
    ),
    "an effect that is none": ([{**ALL, "Effect": "Maybe"}], "unknown", "cannot be read"),
    "a statement that is none": (["Allow"], "unknown", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", POLICIES)
def test_policies(case: str) -> None:
    """What nothing can pass fails; what restricts passes, and the finding says how."""
    statement, status, words = POLICIES[case]
    lab = Lab()
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, policy=policy)
    found = finding("endpoint_policy", endpoint, lab)
    assert (found.status, words in found.summary) == (status, True), found
    assert bool(found.fix) == (status == "fail")


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (None, "not_applicable"),
        ("{", "unknown"),
        ("", "unknown"),
        ("[]", "unknown"),
        ("{}", "unknown"),
        ("null", "unknown"),
        ("[" * 20_000, "unknown"),
    ],
)
def test_texts(policy: str | None, status: str) -> None:
    """Without a policy there is nothing to judge; one that is not read is not judged well."""
    lab = Lab()
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, policy=policy)
    assert finding("endpoint_policy", endpoint, lab).status == status


@pytest.mark.parametrize("kind", ["Interface", "Gateway", "GatewayLoadBalancer", "Resource"])
def test_every_type_has_policies(kind: str) -> None:
    """A policy is judged whatever the type."""
    lab = Lab()
    policy = json.dumps({"Statement": DENY_ALL})
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, type=kind, policy=policy)
    assert finding("endpoint_policy", endpoint, lab).status == "fail"


def test_the_command_that_resets_it() -> None:
    """It goes back to the default, and says what that means."""
    lab = Lab()
    policy = json.dumps({"Statement": DENY_ALL})
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, policy=policy)
    fix = finding("endpoint_policy", endpoint, lab).fix or ""
    assert "put that back" in fix.splitlines()[0]
    assert fix.splitlines()[1] == (
        f"aws ec2 modify-vpc-endpoint --vpc-endpoint-id {endpoint.id} --reset-policy "
        f"--region {CONSUMER.region}"
    )


def test_a_policy_of_an_old_listing() -> None:
    """What it was when endpoints could be listed is not what it is."""
    lab = Lab()
    policy = json.dumps({"Statement": ALL})
    lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, policy=policy)
    (endpoint,) = lab.listings["endpoints"].values()
    known = lab.inventory().endpoints
    lab.instead["endpoints"] = type(DENIED)(DENIED.reason, "denied", known)  # type: ignore[arg-type]
    assert finding("endpoint_policy", endpoint, lab).status == "unknown"


def allow(*actions: str) -> dict[str, Any]:
    return {**ALL, "Action": list(actions)}


def deny(*actions: str) -> dict[str, Any]:
    return {**DENY_ALL, "Action": list(actions)}


@pytest.mark.parametrize(
    ("service", "statements", "status", "words"),
    [
        ("ecr.api", [ALL, deny("ecr:*")], "fail", "denies everything"),
        ("ecr.dkr", [ALL, deny("ecr:*")], "fail", "denies everything"),
        ("ecr.api", [ALL, deny("api:*")], "pass", "restricts"),
        ("ecr.api", [allow("ecr:*")], "pass", "everything through"),
        ("monitoring", [ALL, deny("cloudwatch:*")], "fail", "denies everything"),
        ("monitoring", [allow("monitoring:*")], "fail", "allows nothing of"),
        ("logs", [ALL, deny("logs:*")], "fail", "denies everything"),
        ("events", [allow("events:*")], "pass", "everything through"),
        ("execute-api", [ALL, deny("execute-api:*")], "fail", "denies everything"),
        ("s3", [allow("s3:GetObject")], "pass", "restricts"),
        ("s3", [allow("s3-object-lambda:Get*")], "pass", "restricts"),
        ("kms-fips", [ALL, deny("kms:*")], "fail", "denies everything"),
        ("sqs", [allow("s3:*")], "fail", "allows nothing of com.amazonaws.eu-west-1.sqs"),
        ("sqs", [allow("s3:*", "SQS:SendMessage")], "pass", "restricts"),
        ("sqs", [allow("s*:*")], "pass", "restricts"),
        ("sqs", [allow("s3:*"), {**allow(), "NotAction": "s3:*"}], "pass", "restricts"),
        ("appmesh-envoy-management", [allow("s3:*")], "pass", "denies everything (*) was judged"),
        ("appmesh-envoy-management", [ALL, DENY_ALL], "fail", "denies everything"),
        ("appmesh-envoy-management", [ALL], "pass", "everything through"),
    ],
)
def test_what_actions_are_called(
    service: str, statements: list[dict[str, Any]], status: str, words: str
) -> None:
    """A service's actions are those of its prefix; where that is not known, the finding says so."""
    lab = Lab()
    endpoint = lab.add_endpoint(
        lab.add_vpc("10.0.0.0/16"),
        {},
        service=f"com.amazonaws.eu-west-1.{service}",
        policy=json.dumps({"Statement": statements}),
    )
    found = finding("endpoint_policy", endpoint, lab)
    assert (found.status, words in found.summary) == (status, True), found


@pytest.mark.parametrize(
    "text", ["x" * 20_000, json.dumps({"Statement": {**DENY_ALL, "Sid": "x" * 9_000}})]
)
def test_long_policies(text: str) -> None:
    """Evidence has the beginning of a policy, whatever its length."""
    lab = Lab()
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, policy=text)
    (one,) = finding("endpoint_policy", endpoint, lab).evidence
    assert len(one.removeprefix("PolicyDocument: ")) == 500
