"""The estimate of what calls cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.aws.cost import Costs


def test_costs_add_up_from_many_threads() -> None:
    """By service and operation; a snapshot does not change afterwards."""
    costs = Costs()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(1000):
            pool.submit(costs.add, "logs", "StartQuery", 0.25)
    before = costs.snapshot()
    costs.add("athena", "StartQueryExecution", 0)
    assert before == {("logs", "StartQuery"): pytest.approx(250)}
    assert costs.snapshot()["athena", "StartQueryExecution"] == 0
