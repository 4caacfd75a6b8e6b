"""Buckets in moto's S3: made, written to, kept small, read by Athena."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, NamedTuple

from moto.s3.models import s3_backends

from exporter.simulator.state import World

# How long an object is kept, in seconds.
RETENTION = 7200.0


class Stored(NamedTuple):
    """An object: `etag` without quotes, `size` in bytes."""

    bucket: str
    key: str
    size: int
    etag: str


class Buckets:
    """What the simulator itself puts into buckets; it removes what is old."""

    def __init__(self) -> None:
        # Whoever reads what moto keeps takes it: a listing must not meet a write half way.
        self.lock = threading.RLock()
        self._written: deque[tuple[float, Stored]] = deque()

    def put(self, bucket: str, key: str, content: bytes, now: float) -> Stored | None:
        """Write an object and return it; None when there is no such bucket, as after a delete."""
        with self.lock:
            while self._written and self._written[0][0] < now - RETENTION:
                old = self._written.popleft()[1]
                backend = _owner(old.bucket)
                if backend is not None:
                    backend.delete_object(old.bucket, old.key)
            backend = _owner(bucket)
            if backend is None:
                return None
            made = backend.put_object(bucket, key, content)
            stored = Stored(bucket, key, len(content), made.etag.strip('"'))
            self._written.append((now, stored))
            return stored

    def keys(self, bucket: str, prefix: str) -> list[str] | None:
        """Return the keys that begin so, in order; None when there is no such bucket."""
        with self.lock:
            backend = _owner(bucket)
            if backend is None:
                return None
            return sorted(key for key in backend.buckets[bucket].keys if key.startswith(prefix))

    def read(self, bucket: str, key: str) -> bytes | None:
        """Return an object's content; None when it is gone."""
        with self.lock:
            backend = _owner(bucket)
            found = backend.get_object(bucket, key) if backend is not None else None
            return None if found is None else bytes(found.value)


def create(world: World) -> None:
    """Make the world's buckets in moto."""
    for (account, region), names in world.buckets.items():
        backend = s3_backends[account]["aws"]
        for name in names:
            if name not in s3_backends.bucket_accounts:
                backend.create_bucket(name, region)


def drop(world: World) -> None:
    """Remove the world's buckets, and what is in them."""
    for names in world.buckets.values():
        for name in names:
            backend = _owner(name)
            if backend is not None:
                for key in list(backend.buckets[name].keys):
                    backend.delete_object(name, key)
                backend.delete_bucket(name)


def _owner(bucket: str) -> Any:
    known = s3_backends.bucket_accounts.get(bucket)
    return None if known is None else s3_backends[known[1]][known[0]]
