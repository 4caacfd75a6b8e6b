"""Who made a call: each type of identity, and those that AWS may add."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.aws.actors import UNKNOWN, actor
from tests.aws.cloudtrail import ALICE

PREFIX = "arn:aws:iam::111122223333"


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        ({"type": "Root", "accountId": "111122223333"}, "root (account 111122223333)"),
        (
            {"type": "IAMUser", "arn": f"{PREFIX}:user/ops/alice", "userName": "alice"},
            "user/ops/alice",
        ),
        ({"type": "IAMUser", "userName": "alice"}, "user/alice"),
        ({"type": "IAMUser", "principalId": "AIDAEXAMPLE"}, "user (id AIDAEXAMPLE)"),
        (ALICE, "role/deploy (session alice)"),
        (
            {**ALICE, "invokedBy": "autoscaling.amazonaws.com"},
            "role/deploy (session alice, via autoscaling.amazonaws.com)",
        ),
        ({**ALICE, "sessionContext": None}, "role/deploy (session alice)"),
        ({"type": "AssumedRole", "principalId": "AROAEXAMPLE:alice"}, "a role (session alice)"),
        ({"type": "Role", "arn": f"{PREFIX}:role/deploy"}, "role/deploy"),
        (
            {
                "type": "FederatedUser",
                "arn": "arn:aws:sts::111122223333:federated-user/alice",
                "sessionContext": {"sessionIssuer": {"arn": f"{PREFIX}:user/broker"}},
            },
            "federated-user/alice (by user/broker)",
        ),
        (
            {"type": "AWSAccount", "accountId": "444455556666", "principalId": "AIDAEXAMPLE"},
            "account 444455556666 (principal AIDAEXAMPLE)",
        ),
        (
            {"type": "AWSService", "invokedBy": "elasticloadbalancing.amazonaws.com"},
            "elasticloadbalancing.amazonaws.com",
        ),
        ({"invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com"),
        (
            {
                "type": "IdentityCenterUser",
                "onBehalfOf": {
                    "userId": "94482488-3041-7029-0000-EXAMPLE",
                    "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1",
                },
            },
            "IAM Identity Center user 94482488-3041-7029-0000-EXAMPLE (store d-1)",
        ),
        (
            {"type": "SAMLUser", "userName": "alice", "identityProvider": "idp.example.com"},
            "user alice (from idp.example.com)",
        ),
        (
            {"type": "WebIdentityUser", "userName": "1234", "identityProvider": "example.com"},
            "user 1234 (from example.com)",
        ),
        ({"type": "Directory", "userName": "alice"}, "Directory alice"),
        ({"type": "Unknown"}, "Unknown"),
        ({"type": "Newer", "arn": f"{PREFIX}:thing/a"}, "Newer thing/a"),
        ({"type": ["AssumedRole"]}, UNKNOWN),
        ({"type": "AssumedRole", "sessionContext": [5], "arn": 7}, UNKNOWN),
        ({}, UNKNOWN),
        (None, UNKNOWN),
        ("text", UNKNOWN),
        ([ALICE], UNKNOWN),
    ],
)
def test_each_type_of_identity(identity: Any, told: str) -> None:
    """People, roles and services by their names; the unknown as far as it says something."""
    assert actor(identity) == told
