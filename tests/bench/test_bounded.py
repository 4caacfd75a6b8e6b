"""Memory and store are bounded, however many records are counted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.bench.bounded import measure, told


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_three_times_as_many_records_take_no_more(tmp_path: Path) -> None:
    """After all records the store and the memory are as large as after the first third."""
    records = int(os.environ.get("BOUNDED_RECORDS", 30_000_000))
    sizes = list(measure(records, 3, tmp_path))
    sys.stdout.write("\n".join(["", *map(told, sizes), ""]))
    first, *_, last = sizes
    assert last.store <= 1.1 * first.store
    assert last.resident <= 1.1 * first.resident
