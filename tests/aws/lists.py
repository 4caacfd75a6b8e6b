"""Passes of the inventory against a simulator, for the tests of this folder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import botocore.config

from exporter.aws import inventory
from exporter.aws.session import CLIENT_CONFIG, Aws
from exporter.config import Account, Discovery
from exporter.model import Inventory, Scope
from exporter.simulator.organisation import CONSUMER, MANAGEMENT, PROVIDER, ROLE

REGION, SECOND = "eu-west-1", "us-east-1"
OWN = Scope(MANAGEMENT, REGION)
CONSUMING = Scope(CONSUMER, REGION)
PROVIDING = Scope(PROVIDER, REGION)
# Retries are botocore's own affair.
_ONCE = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 1})
PATIENT = CLIENT_CONFIG.merge(_ONCE)
# For what hangs; longer than a busy machine takes for an answer.
IMPATIENT = PATIENT.merge(botocore.config.Config(read_timeout=1.5))


def reaching(*scopes: Scope, config: botocore.config.Config = PATIENT) -> Aws:
    """Return access to these scopes: the own account's, and others' by the organisation's role."""
    aws = Aws(config=config)
    for scope in scopes:
        role = f"arn:aws:iam::{scope.account}:role/{ROLE}"
        own = scope.account == MANAGEMENT
        aws.reach(scope, Account() if own else Account(role_arn=role, regions=(scope.region,)))
    return aws


def collect(
    aws: Aws,
    scope: Scope,
    previous: Inventory | None = None,
    age: float = 0.0,
    discovery: Discovery | None = None,
    clock: Callable[[], float] = time.time,
    budget: float = 60.0,
) -> Inventory:
    """Return one pass."""
    client = partial(aws.client, scope)
    return inventory.collect(client, scope, clock, previous, discovery, age, budget)


def value(part: Any) -> Any:
    """Return what a part knows; fails where it is Unavailable."""
    assert hasattr(part, "value"), part
    return part.value


def calls(aws: Aws, but: tuple[str, ...] = ("sts",)) -> Counter[str]:
    """Return how often each operation was requested so far."""
    found: Counter[str] = Counter()
    for key, count in aws.requests().items():
        if key.service not in but:
            found[key.operation] += count
    return found
