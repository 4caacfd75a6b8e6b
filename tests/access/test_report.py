"""What was asked, and with what outcome, as what may be asked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from exporter.access.operations import CHECKS, OPERATIONS
from exporter.access.report import Access, Answer, access
from exporter.access.show import WIDTH, as_json, text
from exporter.aws.session import RequestKey
from exporter.config import Config, parse
from exporter.flowlogs.ingest import Report
from exporter.model import (
    FlowLog,
    Inventory,
    Known,
    Outcome,
    Scope,
)
from exporter.world import CollectorStatus, Estate, World
from tests.worlds import ENDPOINT

SCOPE = Scope("222233334444", "eu-west-1")
ROLE = "arn:aws:iam::222233334444:role/privatelink-exporter"
CONFIG = parse(
    f"accounts:\n  - {{role_arn: '{ROLE}', external_id: abcdef, regions: [eu-west-1]}}\n", "test"
)
FLOW_LOGS = {
    "fl-0a1": FlowLog(
        "fl-0a1", "vpc-0a1", "ALL", "cloud-watch-logs", "/flow/logs", "", 60, "ACTIVE"
    ),
    "fl-0a2": FlowLog("fl-0a2", "vpc-0a1", "ALL", "s3", "arn:aws:s3:::logs/vpc/", "", 60, "ACTIVE"),
}


def world(
    asked: dict[tuple[str, str], Outcome | tuple[Outcome, ...]],
    scope: Scope = SCOPE,
    problems: dict[str, str] | None = None,
) -> World:
    """Return a World of one account and Region, in which that was asked."""
    inventory = Inventory(
        SCOPE,
        endpoints=Known({ENDPOINT.id: replace(ENDPOINT, scope=SCOPE)}, 1.0),
        interfaces=Known({}, 1.0),
        flow_logs=Known(FLOW_LOGS, 1.0),
    )
    requests = {
        RequestKey(scope.account, scope.region, service, name, outcome): 1
        for (service, name), outcomes in asked.items()
        for outcome in ((outcomes,) if isinstance(outcomes, str) else outcomes)
    }
    status = CollectorStatus("inventory", SCOPE, "", 1.0, 1.0, None, problems or {})
    estate = Estate(SCOPE, inventory, None, (), Report())
    return World(1.0, "1", "3", (estate,), (status,), requests)


EVERYTHING: dict[tuple[str, str], Outcome | tuple[Outcome, ...]] = {
    (operation.service, operation.name): "ok"
    for operation in OPERATIONS
    if operation.holder == "account"
}


def of(found: Access, name: str) -> Answer:
    answers = [a for account in found.accounts for a in account.answers]
    (answer,) = [a for a in answers if a.operation.name == name]
    return answer


def test_all_is_allowed() -> None:
    """Nothing to add, nothing blind, exit code 0."""
    found = access(world(EVERYTHING), CONFIG)
    (account,) = found.accounts
    assert {answer.status for answer in account.answers} == {"allowed"}
    assert (account.policy, account.own_policy, account.trust) == (None, None, None)
    assert account.blind == ()
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("service", "name", "action", "resource", "blind"),
    [
        ("ec2", "DescribeNetworkAcls", "ec2:DescribeNetworkAcls", "*", "network_acl"),
        (
            *("ec2", "DescribeVpcAttribute", "ec2:DescribeVpcAttribute"),
            *("arn:aws:ec2:eu-west-1:*:vpc/*", "private_dns"),
        ),
        (
            *("ec2", "DescribeVpcEndpointServicePermissions"),
            "ec2:DescribeVpcEndpointServicePermissions",
            *("arn:aws:ec2:eu-west-1:222233334444:vpc-endpoint-service/*", "acceptance"),
        ),
        (
            *("elbv2", "DescribeTargetHealth", "elasticloadbalancing:DescribeTargetHealth"),
            *("*", "nlb_targets"),
        ),
        (
            *("logs", "FilterLogEvents", "logs:FilterLogEvents"),
            *("arn:aws:logs:eu-west-1:222233334444:log-group:/flow/logs:*", "flow_rejects"),
        ),
        ("s3", "ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::logs", "flow_rejects"),
        ("s3", "GetObject", "s3:GetObject", "arn:aws:s3:::logs/vpc/AWSLogs/*", "flow_rejects"),
    ],
    ids=lambda value: value if str(value)[:1].isupper() else "",
)
def test_one_is_denied(service: str, name: str, action: str, resource: str, blind: str) -> None:
    """The statement to add is that one action on what it can be restricted to."""
    found = access(world({**EVERYTHING, (service, name): "denied"}), CONFIG)
    (account,) = found.accounts
    assert of(found, name).status == "denied"
    assert blind in account.blind
    statement = {"Effect": "Allow", "Action": [action], "Resource": resource}
    assert account.policy == {"Version": "2012-10-17", "Statement": [statement]}
    assert found.exit_code == 1


def test_denied_here_and_allowed_there_is_denied() -> None:
    """One of two log groups cannot be read: what AWS said is told."""
    reason = "FilterLogEvents: AccessDeniedException: not authorized"
    asked = {**EVERYTHING, ("logs", "FilterLogEvents"): ("ok", "denied")}
    answer = of(access(world(asked, problems={"/flow/logs": reason}), CONFIG), "FilterLogEvents")
    assert (answer.status, answer.why) == ("denied", reason)
    answer = of(access(world(asked), CONFIG), "FilterLogEvents")
    assert answer.why == "denied: some calls were denied, others not"


@pytest.mark.parametrize("outcome", ["throttled", "error"])
def test_what_fails_otherwise_is_untested(outcome: Outcome) -> None:
    """It may be denied all the same: exit code 3. A retry that succeeds shows that it is not."""
    asked = {**EVERYTHING, ("ec2", "DescribeSubnets"): outcome}
    found = access(world(asked), CONFIG)
    assert (of(found, "DescribeSubnets").status, of(found, "DescribeSubnets").cause) == (
        "untested",
        outcome,
    )
    assert found.exit_code == 3
    asked["ec2", "DescribeSubnets"] = (outcome, "ok")
    assert access(world(asked), CONFIG).exit_code == 0


@pytest.mark.parametrize(
    ("missing", "cause", "why"),
    [
        (("elbv2", "DescribeTargetHealth"), "nothing", "no target group behind an endpoint"),
        (("logs", "FilterLogEvents"), "nothing", "no flow log in a log group"),
        (("cloudtrail", "LookupEvents"), "off", "the collector changes is switched off"),
    ],
    ids=["nothing", "no log group", "off"],
)
def test_what_is_not_asked_says_why(missing: tuple[str, str], cause: str, why: str) -> None:
    """Nothing to ask for is no fault: exit code 0."""
    asked = {key: outcome for key, outcome in EVERYTHING.items() if key != missing}
    found = access(world(asked), CONFIG, frozenset({"changes"}))
    answer = of(found, missing[1])
    assert (answer.status, answer.cause) == ("untested", cause)
    assert why in answer.why
    assert found.exit_code == 0


def test_what_waits_for_something_denied_says_so() -> None:
    """Without the listing nobody knows whether there is something to ask for."""
    asked = {key: outcome for key, outcome in EVERYTHING.items() if key[0] != "elbv2"}
    asked["ec2", "DescribeVpcEndpointServiceConfigurations"] = "denied"
    found = access(world(asked), CONFIG)
    for name in ("DescribeLoadBalancers", "DescribeListeners", "DescribeTargetHealth"):
        assert of(found, name).cause == "behind"
    assert "is denied" in of(found, "DescribeLoadBalancers").why


def test_a_pass_that_did_not_end_is_not_nothing_to_ask_for() -> None:
    """What may still be asked is uncertain."""
    asked = {k: outcome for k, outcome in EVERYTHING.items() if k[1] != "FilterLogEvents"}
    found = access(world(asked), CONFIG, unfinished=frozenset({"flow_logs"}))
    assert of(found, "FilterLogEvents").cause == "unfinished"
    assert found.exit_code == 3


def test_nothing_asked_is_no_success() -> None:
    """Without an account there is nothing that could be allowed."""
    assert access(World(1.0, "1", "3"), Config()).exit_code == 3


def test_a_role_that_cannot_be_assumed_shuts_the_account() -> None:
    """The account is blind as a whole; both sides of the assumption are said."""
    home = replace(SCOPE, region="us-east-1")
    principal = "arn:aws:iam::111122223333:role/privatelink-exporter-host"
    found = access(world({("sts", "AssumeRole"): "denied"}, home), CONFIG, principal=principal)
    (account,) = found.accounts
    assert account.shut
    assert set(account.blind) == set(CHECKS)
    assert account.policy is None
    assert account.own_policy
    assert account.own_policy["Statement"] == [
        {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": ROLE}
    ]
    assert account.trust
    (statement,) = account.trust["Statement"]
    assert statement["Principal"] == {"AWS": principal}
    assert "abcdef" not in json.dumps(account.trust)
    assert of(found, "DescribeVpcs").why == "the role of the account was not assumed"
    assert found.exit_code == 1


def test_in_another_partition_the_arns_are_of_it() -> None:
    """A policy for China can be pasted there."""
    china = Scope(SCOPE.account, "cn-north-1")
    found = access(world({("ec2", "DescribeVpcAttribute"): "denied"}, china), CONFIG)
    (account,) = found.accounts
    assert account.policy
    assert account.policy["Statement"][0]["Resource"] == "arn:aws-cn:ec2:cn-north-1:*:vpc/*"


def test_queues_are_the_exporters_own() -> None:
    """Who reads a queue is the exporter, not the role of an account."""
    url = "https://sqs.eu-west-1.amazonaws.com/111122223333/flow-logs"
    config = parse(f"collectors: {{flow_logs: {{notifications: ['{url}']}}}}", "test")
    own = Scope("111122223333", "eu-west-1")
    found = access(world({("sqs", "ReceiveMessage"): "denied"}, own), config)
    account = found.accounts[0]
    assert account.policy is None
    assert account.own_policy
    (statement,) = account.own_policy["Statement"]
    assert statement["Resource"] == "arn:aws:sqs:eu-west-1:111122223333:flow-logs"


def test_the_text_fits_a_terminal_and_its_policy_can_be_pasted() -> None:
    """80 columns; the JSON says the same."""
    asked = {**EVERYTHING, ("ec2", "DescribeNetworkAcls"): "denied"}
    del asked["logs", "FilterLogEvents"]
    reason = "DescribeNetworkAcls: UnauthorizedOperation: You are not authorized " * 3
    found = access(world(asked, problems={"network_acls": reason}), CONFIG)
    written = text(found)
    assert all(len(line) <= WIDTH for line in written.splitlines())
    assert "DENIED ec2:DescribeNetworkAcls in eu-west-1" in written
    pasted = written[written.index("\n{") : written.rindex("\n}") + 2]
    (account,) = as_json(found)["accounts"]
    assert json.loads(pasted) == account["policy"] == found.accounts[0].policy
    denied = [row for row in account["operations"] if row["status"] == "denied"]
    assert [row["operation"] for row in denied] == ["DescribeNetworkAcls"]
    assert account["blind_checks"] == ["network_acl"]
    assert json.dumps(as_json(found))
