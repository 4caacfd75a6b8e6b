"""What must survive a restart: cursors, what was seen, and the counters, in one SQLite file.

They change in one transaction, so that after `kill -9` at any instruction a record is either
counted and remembered, or neither.
"""

from exporter.store.database import FILE, StoreError, StoreRefused
from exporter.store.schema import VERSION
from exporter.store.store import (
    Batch,
    Bin,
    CounterKey,
    KnownInterface,
    Seen,
    SourceId,
    SourceState,
    Store,
)

__all__ = [
    "FILE",
    "VERSION",
    "Batch",
    "Bin",
    "CounterKey",
    "KnownInterface",
    "Seen",
    "SourceId",
    "SourceState",
    "Store",
    "StoreError",
    "StoreRefused",
]
