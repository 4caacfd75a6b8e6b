"""The store: what it refuses to open, and how it says so."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from exporter.model import Scope
from exporter.store import FILE, Batch, CounterKey, Seen, Store, StoreError

SCOPE = Scope("111122223333", "eu-west-1")


def test_counts_survive(tmp_path: Path) -> None:
    """What was committed is there after a restart; scopes do not mix."""
    store = Store(tmp_path / "new" / "directory")
    batch = Batch(seen={Seen(5, b"a")}, read_to=9.0)
    batch.count("vpce-1", "flow_records", "REJECT", 3)
    store.commit(SCOPE, store.source(SCOPE, "cloudwatch", "/g").id, batch)
    store.close()
    again = Store(tmp_path / "new" / "directory")
    source = again.source(SCOPE, "cloudwatch", "/g")
    assert again.counters(SCOPE) == {CounterKey("vpce-1", "flow_records", "REJECT"): 3}
    assert source.read_to == 9.0
    assert again.unseen(source.id, [Seen(5, b"a"), Seen(5, b"b")]) == {Seen(5, b"b")}
    assert again.counters(Scope("444455556666", "eu-west-1")) == {}
    again.close()


def test_what_cannot_be_read_again_is_forgotten(tmp_path: Path) -> None:
    """The seen-set is bounded: lines before the window are dropped."""
    store = Store(tmp_path)
    source = store.source(SCOPE, "cloudwatch", "/g").id
    store.commit(SCOPE, source, Batch(seen={Seen(5, b"a"), Seen(9, b"b")}))
    store.commit(SCOPE, source, Batch(forget_before=9))
    assert store.unseen(source, [Seen(5, b"a"), Seen(9, b"b")]) == {Seen(5, b"a")}
    store.close()


def test_gone_interfaces_are_remembered_for_a_while(tmp_path: Path) -> None:
    """Records of an interface that has gone still find their endpoint; then it is forgotten."""
    store = Store(tmp_path)
    assert store.remember(SCOPE, {"eni-1": "vpce-1"}, 100, 50) == {"eni-1": "vpce-1"}
    assert store.remember(SCOPE, {}, 150, 50) == {"eni-1": "vpce-1"}
    assert store.remember(SCOPE, {}, 151, 50) == {}
    store.close()


def test_in_use(tmp_path: Path) -> None:
    """A second exporter on the same directory is refused."""
    first = Store(tmp_path)
    with pytest.raises(StoreError, match="in use by another exporter"):
        Store(tmp_path)
    first.close()


def test_newer(tmp_path: Path) -> None:
    """A store of a newer version is left alone."""
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer exporter"):
        Store(tmp_path)


def test_not_ours(tmp_path: Path) -> None:
    """Another program's database, or no database at all, is left alone."""
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("CREATE TABLE cats (name)")
    db.close()
    with pytest.raises(StoreError, match="another program's"):
        Store(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        Store(tmp_path / "other")


def test_no_directory(tmp_path: Path) -> None:
    """A path that cannot be a directory is named, with the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"--storage\.path"):
        Store(tmp_path / "file")
    if os.getuid() != 0:
        (tmp_path / "sealed").mkdir(mode=0o500)
        with pytest.raises(StoreError, match="cannot be opened"):
            Store(tmp_path / "sealed")
    (tmp_path / "taken" / FILE).mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "taken")
