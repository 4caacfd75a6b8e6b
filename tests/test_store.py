"""The store: what it refuses to open, and how it says so."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.model import Scope
from exporter.store import FILE, Batch, Bin, CounterKey, KnownInterface, Seen, Store, StoreError
from exporter.store.schema import VERSIONS

SCOPE = Scope("111122223333", "eu-west-1")


def test_counts_survive(tmp_path: Path) -> None:
    """What was committed is there after a restart; scopes do not mix."""
    store = Store(tmp_path / "new" / "directory")
    counters = {CounterKey("vpce-1", "flow_records", "REJECT"): 3}
    batch = Batch(counters, seen={Seen(5, b"a")}, read_to=9.0)
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


def known(last_listed: float, born: float = 0.0) -> KnownInterface:
    return KnownInterface(
        "eni-1", "vpce-1", "vpc-1", "subnet-1", ("10.0.0.1", "::1"), born, last_listed
    )


def test_gone_interfaces_are_remembered_for_a_while(tmp_path: Path) -> None:
    """Records of an interface that has gone still find their endpoint; then it is forgotten."""
    store = Store(tmp_path)
    assert store.remember(SCOPE, [known(0)], 100, 50) == {"eni-1": known(100)}
    assert store.remember(SCOPE, [], 150, 50) == {"eni-1": known(100)}
    assert store.remember(SCOPE, [], 151, 50) == {}
    store.close()


def test_an_interface_was_not_there_before_it_was_missed(tmp_path: Path) -> None:
    """One that is new was born after the last listing, or when its endpoint was, if that is later.

    Before, its address may have been another one's.
    """
    store = Store(tmp_path)
    other = known(0)._replace(interface_id="eni-2")
    third = known(0, born=130.0)._replace(interface_id="eni-3")
    store.remember(SCOPE, [known(0, born=40.0)], 100, 500)
    found = store.remember(SCOPE, [known(0), other, third], 160, 500)
    assert {i: x.born for i, x in found.items()} == {"eni-1": 40.0, "eni-2": 100.0, "eni-3": 130.0}
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
    theirs = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match="another program's"):
        Store(tmp_path)
    assert (tmp_path / FILE).read_bytes() == theirs
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def damage(path: Path) -> None:
    """Overwrite the middle of every page of the database."""
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 200] = b"\xff" * 200
    path.write_bytes(bytes(data))


def count(store: Store, amount: int = 1) -> None:
    key = CounterKey("vpce-1", "flow_records", "REJECT")
    batch = Batch(counters={key: amount})
    store.commit(SCOPE, store.source(SCOPE, "cloudwatch", "/g").id, batch)


@pytest.mark.parametrize("how", ["no database", "damaged", "empty header"])
def test_a_corrupt_store_is_left_as_it_is(tmp_path: Path, how: str) -> None:
    """It is never made anew: each use fails with the remedy until somebody restores it."""
    store = Store(tmp_path)
    count(store, 3)
    store.close()
    path = tmp_path / FILE
    good = path.read_bytes()
    if how == "no database":
        path.write_bytes(b"this is no database" * 1000)
    elif how == "damaged":
        damage(path)
    else:
        path.write_bytes(b"\0" * 100 + good[100:])
    bad = path.read_bytes()
    store = Store(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"left as it is\. Restore it"):
            count(store)
    assert store.problem is not None
    assert path.read_bytes() == bad
    path.write_bytes(good)
    count(store)
    assert store.ok
    assert store.counters(SCOPE)[CounterKey("vpce-1", "flow_records", "REJECT")] == 4
    store.close()


@pytest.mark.parametrize("how", ["damaged", "cut", "empty", "removed"])
def test_a_store_that_is_damaged_while_it_is_open(tmp_path: Path, how: str) -> None:
    """It is not written to, neither then nor when it is closed; restored, it goes on."""
    store = Store(tmp_path)
    count(store, 3)
    path = tmp_path / FILE
    good = path.read_bytes()
    if how == "damaged":
        damage(path)
    elif how == "removed":
        path.unlink()
    else:
        os.truncate(path, len(good) // 2 if how == "cut" else 0)
    bad = path.read_bytes() if path.exists() else None
    for _ in range(2):
        with pytest.raises(StoreError, match="Restore it"):
            count(store)
    assert (path.read_bytes() if path.exists() else None) == bad
    path.write_bytes(good)
    count(store)
    assert store.ok
    assert store.counters(SCOPE)[CounterKey("vpce-1", "flow_records", "REJECT")] == 4
    damage(path)
    bad = path.read_bytes()
    store.close()
    assert path.read_bytes() == bad


def test_a_store_that_is_replaced_goes_on_in_the_new_file(tmp_path: Path) -> None:
    """What is moved over it is used from then on, and no journal of the old one is mixed in."""
    store = Store(tmp_path)
    count(store, 3)
    path = tmp_path / FILE
    backup = tmp_path / "backup"
    backup.write_bytes(path.read_bytes())
    count(store, 5)
    before = store.source(SCOPE, "cloudwatch", "/g").id
    backup.replace(path)
    with pytest.raises(StoreError, match="with the next pass"):
        store.commit(SCOPE, before, Batch(read_to=9.0))
    count(store)
    store.close()
    again = Store(tmp_path)
    assert again.counters(SCOPE) == {CounterKey("vpce-1", "flow_records", "REJECT"): 4}
    again.close()


def test_a_damaged_store_keeps_its_journal(tmp_path: Path) -> None:
    """What a process that was killed left beside a damaged file is not written into it."""
    store = Store(tmp_path)
    count(store, 3)
    store.run(lambda db: db.execute("PRAGMA wal_autocheckpoint = 0").fetchall())
    count(store, 5)
    journal = tmp_path / f"{FILE}-wal"
    left = journal.read_bytes()
    store.close()
    whole = (tmp_path / FILE).read_bytes()
    damage(tmp_path / FILE)
    journal.write_bytes(left)
    bad = (tmp_path / FILE).read_bytes()
    store = Store(tmp_path)
    assert store.problem is not None
    assert f"without {FILE}-wal" in str(store.problem)
    store.close()
    assert (tmp_path / FILE).read_bytes() == bad
    assert journal.read_bytes() == left
    (tmp_path / FILE).write_bytes(whole)
    store = Store(tmp_path)
    assert store.counters(SCOPE) == {CounterKey("vpce-1", "flow_records", "REJECT"): 8}
    store.close()


def test_the_file_is_whole_after_each_commit(tmp_path: Path) -> None:
    """A copy of the file alone has all that was committed, and the journal stays small."""
    store = Store(tmp_path / "state")
    many = {CounterKey(f"vpce-{i}", "flow_records", "REJECT"): 1 for i in range(50_000)}
    store.commit(SCOPE, store.source(SCOPE, "cloudwatch", "/g").id, Batch(counters=many))
    count(store)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / FILE).write_bytes((tmp_path / "state" / FILE).read_bytes())
    assert (tmp_path / "state" / f"{FILE}-wal").stat().st_size <= 1024 * 1024
    copy = Store(tmp_path / "copy")
    assert copy.counters(SCOPE) == store.counters(SCOPE)
    copy.close()
    store.close()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A commit that finds no room changes nothing, and works again when there is some."""
    store = Store(tmp_path)
    count(store)
    source = store.source(SCOPE, "cloudwatch", "/g").id
    pages = store.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    store.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall())
    many = {CounterKey(f"vpce-{i}", "flow_records", "REJECT"): 1 for i in range(10_000)}
    with pytest.raises(StoreError, match=r"full.*nothing that was committed is lost"):
        store.commit(SCOPE, source, Batch(counters=many))
    assert store.problem is not None
    assert store.counters(SCOPE) == {CounterKey("vpce-1", "flow_records", "REJECT"): 1}
    store.commit(SCOPE, source, Batch(counters=many))  # opened again, the limit is gone
    assert store.ok
    assert len(store.counters(SCOPE)) == 10_000
    store.close()


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory of whom permissions hold for: root, whom they do not, is somebody else here."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        root = os.getuid() == 0
        if root:
            os.chown(path, 65534, 65534)
            os.seteuid(65534)
        try:
            yield path
        finally:
            if root:
                os.seteuid(0)
            path.chmod(0o700)


def test_a_store_that_cannot_be_written(unprivileged: Path) -> None:
    """A read-only store is not ok, and says what its user must be able to do."""
    store = Store(unprivileged)
    count(store)
    store.close()
    unprivileged.chmod(0o500)
    (unprivileged / FILE).chmod(0o400)
    store = Store(unprivileged)
    assert store.problem is not None
    assert "must be able to read and write" in str(store.problem)
    unprivileged.chmod(0o700)
    (unprivileged / FILE).chmod(0o600)
    count(store)
    assert store.ok
    store.close()


def test_an_older_store_goes_on(tmp_path: Path) -> None:
    """What the first schema held is there after the second one's tables were added."""
    with sqlite3.connect(tmp_path / FILE) as db:
        for statement in VERSIONS[0]:
            db.execute(statement)
        db.execute("INSERT INTO counter VALUES ('111122223333', 'eu-west-1', 'vpce-1', 'r', '', 7)")
        db.execute(
            "INSERT INTO choice VALUES ('111122223333', 'eu-west-1', 'eni-1', 'REJECT', 0, 'fl-1')"
        )
        db.execute("INSERT INTO interface VALUES ('111122223333', 'eu-west-1', 'eni-1', 'v', 90)")
        db.execute("PRAGMA application_id = 0x504C4558")
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = Store(tmp_path)
    assert store.counters(SCOPE) == {CounterKey("vpce-1", "r", ""): 7}
    assert store.choices(SCOPE) == {("eni-1", "REJECT"): [(0.0, "fl-1")]}
    found = store.remember(SCOPE, [], 100, 50)["eni-1"]
    assert (found.endpoint_id, found.addresses) == ("v", ())
    store.close()


def test_bins_and_objects_are_forgotten_too(tmp_path: Path) -> None:
    """Files and minutes before the window go with the lines before it."""
    store = Store(tmp_path)
    source = store.source(SCOPE, "s3", "fl-1").id
    old, new = Seen(5_000, b"a"), Seen(120_000, b"b")
    bins = {(0, "eni-1", "REJECT"): Bin(1), (120, "eni-1", "REJECT"): Bin(2, 3, None, 4)}
    store.commit(SCOPE, source, Batch(objects={old: "x", new: "y"}, bins=bins))
    assert store.etags(source, [old, new]) == {old: "x", new: "y"}
    store.commit(SCOPE, source, Batch(forget_before=60_000))
    assert store.etags(source, [old, new]) == {new: "y"}
    assert store.bins(source, 0, 180) == {(120, "eni-1", "REJECT"): Bin(2, 3, None, 4)}
    assert store.source(SCOPE, "s3", "fl-1").forgotten == 60_000
    store.close()


def test_what_was_spent_survives(tmp_path: Path) -> None:
    """A day's dollars add up over restarts."""
    for _ in range(2):
        store = Store(tmp_path)
        store.spend("logs", "StartQuery", "2023-11-14", 0.25)
        store.close()
    store = Store(tmp_path)
    assert store.spent() == {("logs", "StartQuery", "2023-11-14"): 0.5}
    for day in ("2023-11-15", "2023-11-16"):
        store.spend("logs", "StartQuery", day, 0.25)
    today, before = ("logs", "StartQuery", "2023-11-16"), ("logs", "StartQuery", "")
    assert store.spent() == {today: 0.25, before: 0.75}
    store.close()


def test_counters_go_a_month_after_their_endpoint(tmp_path: Path) -> None:
    """One whose last interface was listed a month ago has none; one that is there keeps them."""
    store = Store(tmp_path)
    day = 86400.0
    other = known(0)._replace(interface_id="eni-2", endpoint_id="vpce-2")
    mine, theirs = (CounterKey(f"vpce-{i}", "flow_records", "REJECT") for i in (1, 2))
    source = store.source(SCOPE, "s3", "fl-1").id
    store.remember(SCOPE, [known(0), other], 0, 50)
    store.commit(SCOPE, source, Batch(counters={mine: 1, theirs: 1}))
    assert store.remember(SCOPE, [other], 30 * day, 50).keys() == {"eni-2"}
    assert store.counters(SCOPE) == {mine: 1, theirs: 1}
    store.remember(SCOPE, [other], 30 * day + 1, 50)
    assert store.counters(SCOPE) == {theirs: 1}
    store.close()


def test_an_interface_that_returns_is_new(tmp_path: Path) -> None:
    """While nobody remembered it, its address may have been another one's."""
    store = Store(tmp_path)
    store.remember(SCOPE, [known(0, born=40.0)], 100, 50)
    store.remember(SCOPE, [known(0)._replace(interface_id="eni-2")], 200, 50)
    assert store.remember(SCOPE, [known(0, born=40.0)], 300, 150)["eni-1"].born == 200.0
    store.close()


def test_identities_of_a_source_that_has_gone_are_forgotten(tmp_path: Path) -> None:
    """A month later they go; those of one that is there stay until it has been read."""
    store = Store(tmp_path)
    day = 86400.0
    line = Seen(5000, b"a")
    sources = [store.source(SCOPE, "cloudwatch", name).id for name in ("/gone", "/there")]
    for source in sources:
        store.commit(SCOPE, source, Batch(seen={line}, read_to=9.0))
    store.retire(SCOPE, {"/there"}, 30 * day)
    assert [store.unseen(source, [line]) for source in sources] == [set(), set()]
    store.retire(SCOPE, {"/there"}, 31 * day)
    assert [store.unseen(source, [line]) for source in sources] == [{line}, set()]
    assert store.source(SCOPE, "cloudwatch", "/gone").forgotten == day * 1000
    store.close()


def test_no_directory(tmp_path: Path) -> None:
    """A path that cannot be a directory is named, with the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"--storage\.path"):
        Store(tmp_path / "file")
    (tmp_path / "taken" / FILE).mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "taken")
