"""The table of operations is complete, and agrees with what is documented."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import botocore.session
import pytest

from exporter.access.operations import CHECKS, OPERATIONS, Operation
from exporter.metrics import CATALOGUE
from exporter.model import Inventory
from tests.aws.test_faults import FINDING, PARTS

ROOT = Path(__file__).parent.parent.parent
# What IAM calls otherwise than the API does: its prefix of a service, and its actions.
PREFIXES = {"elbv2": "elasticloadbalancing"}
ACTIONS = {
    "ListObjectsV2": "s3:ListBucket",
    "DeleteMessageBatch": "sqs:DeleteMessage",
}
# Permissions that no operation is named after: of the key of a bucket, and what needs none.
BESIDE = {"kms:Decrypt", "sts:GetCallerIdentity"}


@cache
def operations_of(service: str) -> frozenset[str]:
    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_is_named_as_aws_does(operation: Operation) -> None:
    """The API has the operation, IAM its action, and the table's names are known elsewhere."""
    assert operation.name in operations_of(operation.service)
    prefix = PREFIXES.get(operation.service, operation.service)
    assert operation.grant.action == ACTIONS.get(operation.name, f"{prefix}:{operation.name}")
    assert set(operation.checks) <= set(CHECKS)
    assert {metric.name for metric in operation.metrics} <= {metric.name for metric in CATALOGUE}
    names = {other.name for other in OPERATIONS}
    assert set(operation.after) <= names


def test_an_operation_is_there_once() -> None:
    """One line each, what tells what to ask for before what is asked for."""
    names = [operation.name for operation in OPERATIONS if operation.service != "athena"]
    assert len(set(names)) == len(names)
    before: set[str] = set()
    for operation in OPERATIONS:
        assert set(operation.after) <= before, operation.name
        before.add(operation.name)


def test_every_part_of_the_inventory_has_its_operation() -> None:
    """The operations of the inventory and of finding accounts, with the parts that they fill."""
    filled = {o.name: o.feeds for o in OPERATIONS if o.collector == "inventory"}
    assert filled == {operation: part for operation, (part, _) in PARTS.items()}
    assert set(filled.values()) == {
        name for name in Inventory.__slots__ if name not in ("scope", "kept_to")
    }
    assert {o.name for o in OPERATIONS if o.collector == "accounts"} == set(FINDING)


def test_every_call_of_a_source_is_in_the_table() -> None:
    """What the sources of flow logs and the queues call by name."""
    called: set[tuple[str, str]] = set()
    sources = (ROOT / "exporter" / "flowlogs" / "sources").glob("*.py")
    for path in (*sources, ROOT / "exporter" / "aws" / "queues.py"):
        called |= set(
            re.findall(r"\b(logs|s3|athena|sqs)\.([a-z]+(?:_[a-z0-9]+)+)\b\(?", _code(path))
        )
    asked = {(s, n.replace("_", "")) for s, n in called if n not in _OURS}
    known = {(operation.service, operation.name.lower()) for operation in OPERATIONS}
    assert len(asked) > 8
    assert asked <= known
    of_flow_logs = {o for o in known if o[0] in ("logs", "s3", "athena", "sqs")}
    assert of_flow_logs <= asked


# Functions of ours in modules of the same name.
_OURS = {"bucket_of", "region_of", "object_of"}


def _code(path: Path) -> str:
    return re.sub(r'"""[\s\S]*?"""|#.*', "", path.read_text())


def test_the_readme_names_every_permission() -> None:
    """The permissions in the README are those of the table; kms:Decrypt is of no operation."""
    _, _, rest = (ROOT / "README.md").read_text().partition("### Permissions")
    section, _, _ = rest.partition("\n### ")
    named = set(re.findall(r"\b([a-z0-9]+:[A-Z][a-z]\w+)", section))
    granted = {grant.action for o in OPERATIONS for grant in (o.grant, *o.also)}
    assert named | {"sts:GetCallerIdentity"} == granted | BESIDE
