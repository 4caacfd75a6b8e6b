"""An estimate of what calls cost, where AWS bills by volume."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping


class Costs:
    """Dollars by service and operation, since the start. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._dollars: dict[tuple[str, str], float] = defaultdict(float)

    def add(self, aws_service: str, operation: str, dollars: float) -> None:
        """Add what one call is estimated to cost; 0 makes the pair known."""
        with self._lock:
            self._dollars[aws_service, operation] += dollars

    def snapshot(self) -> Mapping[tuple[str, str], float]:
        """Return the dollars so far, by service and operation."""
        with self._lock:
            return dict(self._dollars)
