"""One SQLite file with one thread of its own: opened, locked, and opened again when it failed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from exporter.store.file import Owner, Stamp, check, journal_of, stamp
from exporter.store.schema import VERSION, VERSIONS

T = TypeVar("T")

FILE = "privatelink-exporter.sqlite"
_APPLICATION_ID = 0x504C4558  # "PLEX"
# What the journal keeps of its room after a large transaction, in bytes.
_JOURNAL = 1024 * 1024


class StoreError(Exception):
    """Raised when the store cannot be used; says which file, why, and the remedy."""


class StoreRefused(StoreError):  # noqa: N818  # names what happened
    """Raised for a store that is not ours to use: another's, a newer one's, one in use."""


def _nothing() -> None:
    pass


class Database:
    """A database file; every statement runs on its one thread, callers wait for theirs.

    One that cannot be read or written stays as it is: each further use tries to open it again, so
    that what was restored or made room for goes on. One that somebody else has replaced or changed
    since the last use is looked through before anything is written to it.
    """

    def __init__(self, directory: Path) -> None:
        """Open or create the file in the directory.

        Raises StoreError where there is none and none can be made, StoreRefused for one that is
        not ours; what else is wrong with one that is there shows in `problem` and at each use.
        """
        self.path = directory / FILE
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._open: sqlite3.Connection | None = None
        # The file as this process left it, None before it was whole.
        self._left: Stamp | None = None
        self._whole = False
        # How many times a file was opened that this process had not left like that.
        self._openings = 0
        # Why it cannot be used, None when it can.
        self.problem: StoreError | None = None
        # Whether it was made now.
        self.new = False
        try:
            self.run(lambda _: None)
        except StoreError as error:
            if isinstance(error, StoreRefused) or not self.path.is_file():
                self._thread.shutdown(wait=False)
                raise
            self.problem = error

    @property
    def ok(self) -> bool:
        """Whether it could be used when it last was."""
        return self.problem is None

    def opening(self) -> int:
        """Return which file is open, and as left by whom: another number after somebody else's.

        Raises StoreError.
        """
        return self.run(lambda _: self._openings)

    def close(self) -> None:
        """Close once what is in flight has been committed or dropped, or after two seconds.

        A second call does nothing.
        """
        try:
            closing = self._thread.submit(self._drop)
        except RuntimeError:
            return
        self._thread.shutdown(wait=False)
        futures.wait([closing], timeout=2)

    def run(
        self,
        statement: Callable[[sqlite3.Connection], T],
        meanwhile: Callable[[], None] = _nothing,
    ) -> T:
        """Return what the statement returns on the database's thread; raises StoreError.

        `meanwhile` is called on this one.
        """

        def guarded() -> T:
            try:
                result = statement(self._connection())
            except StoreError as error:
                self.problem = error
                raise
            except (sqlite3.Error, OverflowError) as error:
                failed = StoreError(f"The store {self.path} failed: {error}{self._remedy(error)}")
                # An integrity error says that the statement is wrong, not the file.
                if not isinstance(error, sqlite3.IntegrityError | OverflowError):
                    self._drop()
                    self._whole = self._whole and isinstance(error, sqlite3.OperationalError)
                self.problem = failed
                raise failed from error
            self._left = stamp(self.path)
            return result

        try:
            future: Future[T] = self._thread.submit(guarded)
        except RuntimeError:
            raise StoreError(f"The store {self.path} is closed") from None
        try:
            meanwhile()
        finally:
            result = future.result()
        return result

    def write(
        self,
        statement: Callable[[sqlite3.Connection], T],
        meanwhile: Callable[[], None] = _nothing,
    ) -> T:
        """Return what the statement returns in a transaction: all of it is done, or nothing.

        `meanwhile` is called on this thread. Raises StoreError.
        """

        def inside(db: sqlite3.Connection) -> T:
            with db:
                result = statement(db)
            self.problem = None  # not before something was committed again
            return result

        return self.run(inside, meanwhile)

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _let_go(self, found: Stamp | None) -> None:
        """Close what somebody else has replaced, changed or removed, without writing to it.

        What was committed is in the file already. The journal beside it must not become that of
        the file that is there now.
        """
        if self._open is not None and self._left and not self._left.is_same_file(found):
            with contextlib.suppress(sqlite3.Error):
                self._open.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._drop()
        self._whole = False

    def _connection(self) -> sqlite3.Connection:
        found = stamp(self.path)
        if self._left and found != self._left:
            self._let_go(found)
        if self._open is None:
            self._open = self._opened()
            self._left = stamp(self.path)
            self._openings += not self._whole
            self._whole = True
        return self._open

    def _opened(self) -> sqlite3.Connection:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The store's directory {self._directory} cannot be made: {error.strerror}. "
                "Name another one with --storage.path."
            ) from None
        db: sqlite3.Connection | None = None
        try:
            if not self._whole:
                owner = check(self.path)
                self._refuse(owner)
                if owner is None and self._left:
                    raise StoreError(
                        f"The store {self.path} was emptied or removed while it was in use, or "
                        "cannot be seen any more. Restore it, or start anew without it: the "
                        "counters then start from 0."
                    )
            db = sqlite3.connect(self.path, timeout=0, check_same_thread=False)
            self._prepare(db)
        except (sqlite3.Error, StoreError) as error:
            if db is not None:
                db.close()
            raise self._refusal(error) from None
        return db

    def _refuse(self, owner: Owner | None) -> None:
        """Raise StoreRefused for a database that is another's, or a newer exporter's."""
        if owner is None:
            return
        if owner.application != _APPLICATION_ID:
            raise StoreRefused(
                f"{self.path} is another program's database. "
                "Name another directory with --storage.path."
            )
        if owner.version > VERSION:
            raise StoreRefused(
                f"The store {self.path} was written by a newer exporter (schema {owner.version}, "
                f"this one knows {VERSION}). Run that version again, or name another "
                "directory with --storage.path; its counters start from 0."
            )

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Take the lock, and bring the schema up to date."""
        # The lock is held as long as the process lives, and goes with it however it ends.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # What is committed goes into the file at once: so the journal stays small, a copy of the
        # file is whole, and closing writes nothing to a file that was damaged meanwhile.
        db.execute("PRAGMA wal_autocheckpoint = 1")
        db.execute(f"PRAGMA journal_size_limit = {_JOURNAL}")
        db.execute("BEGIN IMMEDIATE")
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        self.new = version == 0
        for statements in VERSIONS[version:]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
        if version == VERSION:
            # Writes nothing, but fails where nothing can be written.
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")

    def _refusal(self, error: sqlite3.Error | StoreError) -> StoreError:
        """Return what to tell whoever started this of a store that cannot be opened."""
        if isinstance(error, StoreError):
            return error
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return StoreRefused(
                f"The store {self.path} is in use by another exporter. Stop that one, or "
                "give this one a directory of its own with --storage.path."
            )
        if isinstance(error, sqlite3.OperationalError):
            return StoreError(
                f"The store {self.path} cannot be opened: {error}. User {os.getuid()} must be "
                "able to read and write it and its directory, and its disk must have room; or name "
                "another directory with --storage.path."
            )
        return StoreError(f"The store {self.path} cannot be read: {error}{self._remedy(error)}")

    def _remedy(self, error: Exception) -> str:
        text = str(error)
        if "malformed" in text or "not a database" in text:
            journal = stamp(journal_of(self.path))
            beside = f" without {journal_of(self.path).name}" if journal and journal.size else ""
            return (
                f". It is left as it is. Restore it from a backup{beside}, or move it away and "
                "start anew: the counters then start from 0"
            )
        if "full" in text:
            return ". Make room on the disk; nothing that was committed is lost"
        return ""
