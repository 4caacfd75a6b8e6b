"""What goes, and when: within the transaction of whoever calls it."""

from __future__ import annotations

import sqlite3

from exporter.model import Scope


def scope_of(scope: Scope) -> tuple[str, str]:
    """Return a scope as the tables have it."""
    return scope.account, scope.region


def forget(db: sqlite3.Connection, source: int, before: int) -> None:
    """Drop what is older than `before` (milliseconds) of a source, and remember that it is."""
    for table in ("seen", "object"):
        db.execute(
            f"DELETE FROM {table} WHERE source=? AND start<?",  # noqa: S608  # names of our own
            (source, before),
        )
    db.execute("DELETE FROM bin WHERE source=? AND minute<?", (source, before // 1000))
    db.execute("UPDATE source SET forgotten=max(forgotten, ?) WHERE id=?", (before, source))


def remembers(db: sqlite3.Connection, source: int, before: int) -> bool:
    """Whether anything older than `before` (milliseconds) is remembered of a source."""
    (found,) = db.execute(
        "SELECT EXISTS (SELECT 1 FROM seen WHERE source=?1 AND start<?2) "
        "OR EXISTS (SELECT 1 FROM object WHERE source=?1 AND start<?2) "
        "OR EXISTS (SELECT 1 FROM bin WHERE source=?1 AND minute<?2/1000)",
        (source, before),
    ).fetchone()
    return bool(found)


def retire_endpoints(db: sqlite3.Connection, scope: Scope, before: float) -> None:
    """Drop interfaces last listed before then (seconds), and the counters of whom none is left."""
    old = "FROM interface WHERE account=?1 AND region=?2 AND last_listed"
    values = (*scope_of(scope), before)
    db.execute(
        "DELETE FROM counter WHERE account=?1 AND region=?2 "  # noqa: S608  # names of our own
        f"AND subject IN (SELECT endpoint_id {old}<?3) "
        f"AND subject NOT IN (SELECT endpoint_id {old}>=?3)",
        values,
    )
    db.execute(f"DELETE {old}<?3", values)
