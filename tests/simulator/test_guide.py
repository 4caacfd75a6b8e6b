"""What `demo` prints when it is ready."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.publisher import Publisher
from exporter.simulator.demo import Running
from tests.worlds import NOW, fixed_world


def scenario(name: str, kind: str, status: str, number: int) -> dict[str, str]:
    return {
        "name": name,
        "kind": kind,
        "status": status,
        "id": f"vpce-0a{number}",
        "summary": f"What is with {name}.",
    }


def test_what_is_not_in_order_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its verdict, what it is, and its id in one column, however long names are."""
    long = "a-name-that-is-longer-than-any-other-of-these"
    scenarios = [
        scenario("short", "endpoint", "fail", 1),
        scenario(long, "service", "warn", 2),
        scenario("odd", "endpoint", "unknown", 3),
        scenario("fine", "endpoint", "pass", 4),
    ]
    running = Running({"scenarios": {s["name"]: s for s in scenarios}}, tmp_path)
    snapshot = replace(Publisher(lambda: NOW, dict, lambda: True).snapshot, world=fixed_world())
    running.guide("http://127.0.0.1:1", snapshot)
    printed = capsys.readouterr().out.splitlines()
    listed = [line.split() for line in printed if "vpce-0a" in line]
    assert listed == [
        ["fail", "endpoint", "short", "vpce-0a1"],
        ["warn", "service", long, "vpce-0a2"],
        ["unknown", "endpoint", "odd", "vpce-0a3"],
    ]
    assert len({line.index("vpce-0a") for line in printed if "vpce-0a" in line}) == 1
    assert any("(1 other is healthy)" in line for line in printed)
