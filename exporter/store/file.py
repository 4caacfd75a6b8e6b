"""A database's file as it lies there: whether it is whole, and whether somebody else changed it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """What tells a file from another one, and from itself before it was written to."""

    device: int
    inode: int
    size: int
    modified: int

    def is_same_file(self, other: Stamp | None) -> bool:
        """Whether the other one is of this file, however changed."""
        return other is not None and other[:2] == self[:2]


class Owner(NamedTuple):
    """Whose database it is, and the version of its schema; both 0 in one that is new."""

    application: int
    version: int


def stamp(path: Path) -> Stamp | None:
    """Return the stamp of what is there; None where nothing is, or nothing can be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def journal_of(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log of a database.

    https://www.sqlite.org/wal.html
    """
    return path.with_name(f"{path.name}-wal")


def check(path: Path) -> Owner | None:
    """Look through a database, with what is left in its journal; return whose it is.

    None for an empty file, or none. It writes to neither: whoever opens a database to write brings
    its journal into it, and one that is damaged would be changed by that. Raises sqlite3.Error.
    """
    found = stamp(path)
    if found is None or not found.size:
        return None
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
    try:
        # The first of what is wrong, or that nothing is.
        (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
    finally:
        db.close()
        # Made by looking, and of no use to whoever holds the file alone.
        with contextlib.suppress(OSError):
            path.with_name(f"{path.name}-shm").unlink()
    if answer != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {answer.strip()}")
    return Owner(application, version) if tables else None
