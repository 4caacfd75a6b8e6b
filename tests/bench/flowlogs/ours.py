"""Our own reading of the same files, asked the same question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.flowlogs.estate import Answer, Interface


def ours_text(files: list[Path], interfaces: list[Interface]) -> Answer:
    """Return the answer read from text.gz files."""
    raise NotImplementedError


def ours_parquet(files: list[Path], interfaces: list[Interface]) -> Answer:
    """Return the answer read from Parquet files."""
    raise NotImplementedError


def ours_cloudwatch(pages: list[dict[str, Any]], interfaces: list[Interface]) -> Answer:
    """Return the answer read from answers of FilterLogEvents."""
    raise NotImplementedError
