"""The catalogue: samples demand their labels, and nothing else spells a metric's name."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from exporter import metrics

ROOT = Path(__file__).parent.parent


def test_a_sample_demands_exactly_its_labels() -> None:
    """A missing, misspelt or additional label is an error where it is written."""
    scope = {"account": "1", "region": "r", "endpoint_id": "e"}
    assert metrics.FLOW_RECORDS(1, **scope, action="ACCEPT").labels == ("1", "r", "e", "ACCEPT")
    for wrong in ({}, {"actoin": "ACCEPT"}, {"action": "ACCEPT", "port": "443"}):
        with pytest.raises(TypeError, match="takes the labels"):
            metrics.FLOW_RECORDS(1, **scope, **wrong)


def test_only_the_catalogue_spells_a_metric_name() -> None:
    """No other module of the exporter holds a metric's name."""
    names = re.compile("|".join(metric.name for metric in metrics.CATALOGUE))
    offenders = [
        str(path)
        for path in (ROOT / "exporter").rglob("*.py")
        if path.name != "metrics.py" and names.search(path.read_text())
    ]
    assert offenders == []


def test_names_follow_prometheus() -> None:
    """Unique names, one prefix, counters end in _total and nothing else does."""
    names = [metric.name for metric in metrics.CATALOGUE]
    assert len(set(names)) == len(names)
    for metric in metrics.CATALOGUE:
        assert metric.name.startswith("privatelink_")
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert metric.help.endswith(".")


def test_the_tables_in_the_documentation_are_current() -> None:
    """README and docs/metrics.md say what the catalogue says."""
    build = runpy.run_path(str(ROOT / "docs" / "build.py"))
    for path, text in build["outputs"]().items():
        assert path.read_text() == text, "run `make docs`"
