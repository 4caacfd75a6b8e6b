"""A thousand endpoints in ten accounts: as many calls as the formula says, and little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter

from exporter.aws.accounts import Accounts
from exporter.aws.session import Aws
from exporter.config import parse
from tests.aws.lists import calls, collect, value
from tests.aws.test_accounts import finding
from tests.aws.test_inventory import STATES, stated
from tests.harness import simulator

ESTATE = ("--world", "estate", "--accounts", "10", "--regions", "1", "--endpoints", "100")


def measure() -> None:
    """Print what two passes over the estate cost, as JSON; run by the test in its own process."""
    before = resident()
    aws = Aws()
    config = parse("organization: {role_name: privatelink-exporter, regions: all}", "test")
    found = finding(Accounts(aws, time.time, config, 300))
    assert not found.problems
    for scope in found.scopes:
        for service in ("ec2", "elbv2", "logs"):
            aws.client(scope, service)
    clients = resident() - before
    others = ("sts", "organizations")
    looked = calls(aws, others) - Counter({"DescribeRegions": len(found.scopes)})
    first = {scope: collect(aws, scope, age=300) for scope in found.scopes}
    listed = calls(aws, others) - Counter({"DescribeRegions": len(found.scopes)}) - looked
    second = {scope: collect(aws, scope, first[scope], age=300) for scope in found.scopes}
    steady = calls(aws, others) - Counter({"DescribeRegions": len(found.scopes)}) - listed
    expected: Counter[str] = Counter()
    for inventory in first.values():
        expected += stated(inventory)
    endpoints = sum(len(value(i.endpoints)) for i in second.values())
    report = {
        "scopes": len(found.scopes),
        "endpoints": endpoints,
        "clients_bytes": clients,
        "all_bytes": resident() - before,
        "listed": listed,
        "expected": expected,
        "steady": steady,
    }
    sys.stdout.write(json.dumps(report))


def resident() -> int:
    """Return the bytes of memory that this process has resident."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123  # not a file of anybody's
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_thousand_endpoints_in_ten_accounts() -> None:
    """Calls are those of the formula, each steady pass a page of each state; clients are small."""
    with simulator(*ESTATE, "--no-clock") as aws:
        result = subprocess.run(
            [sys.executable, "-c", "from tests.aws.test_scale import measure; measure()"],
            env={**aws.environment, "AWS_DEFAULT_REGION": "eu-west-1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["scopes"], report["endpoints"]) == (10, 1000)
    assert report["listed"] == report["expected"]
    own = [name for name in STATES if name != "DescribeVpcEndpointConnections"]
    assert report["steady"] == dict.fromkeys(own, 10)
    assert report["clients_bytes"] < 300e6
    assert report["all_bytes"] < 300e6
