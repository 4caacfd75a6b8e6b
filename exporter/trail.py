"""What is remembered of the changes in one account and Region, and which times are still unread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.model import Change, ChangeOutcome, Recorded, Scope, Unavailable

# Seconds: how far back is read at first and remembered; and what is read again each time, for an
# event may be late.
KEEP, OVERLAP = 86400.0, 1800.0
# A clock may be ahead of ours by so much.
_AHEAD = 300.0
# So many are shown at most, and so many known again.
_SHOWN, _KNOWN = 2000, 50_000


@dataclass(slots=True)
class Window:
    """Times whose events have not been read: from the newest on, down to `begin`."""

    begin: float
    end: float


class Trail:
    """The changes of a scope, each once however often it is told; `began` in seconds.

    It is changed on the event loop alone.
    """

    def __init__(self, scope: Scope, began: float) -> None:
        self.scope = scope
        self.problem: Unavailable[object] | None = None
        # CloudTrail's times are whole seconds.
        self._began = float(int(began))
        self._read_to = began - KEEP + OVERLAP
        self._unread: list[Window] = []
        self._changes: tuple[Change, ...] = ()
        self._known: dict[str, float] = {}
        self._forgotten = (0.0, "")
        self._forgot_at = began
        self._counts: Counter[tuple[str, ChangeOutcome]] = Counter()

    def take(self, changes: Iterable[Change], now: float) -> bool:
        """Remember changes; return whether there was one that was not known.

        What is older than is remembered, or of a time to come, is left out: nobody could tell
        whether it is new.
        """
        new: list[Change] = []
        for change in changes:
            key = (change.at, change.id)
            if change.id in self._known or key <= self._forgotten:
                continue
            if not now - KEEP <= change.at <= now + _AHEAD:
                continue
            self._known[change.id] = change.at
            self._counts[change.event, change.outcome] += change.at >= self._began
            new.append(change)
        if new:
            every = sorted((*self._changes, *new), key=lambda c: (c.at, c.id), reverse=True)
            self._changes = tuple(every[:_SHOWN])
        self._forget(now)
        return bool(new)

    def windows(self, now: float) -> tuple[Window, ...]:
        """Return what is to be read now, the newest first: what is new, then what was left.

        What is read again because it may have come late is one with what is left of it.
        """
        oldest = now - KEEP
        newest = Window(max(self._read_to - OVERLAP, oldest), now)
        left = []
        for window in self._unread:
            if window.end >= newest.begin:
                newest.begin = max(min(newest.begin, window.begin), oldest)
            elif window.end > oldest:
                left.append(Window(max(window.begin, oldest), window.end))
        # It is unread until it is said to be read, so it cannot be lost.
        self._read_to = now
        self._unread = [newest, *left]
        return tuple(self._unread)

    def reached(self, window: Window, moment: float | None) -> None:
        """Note that all of a window has been read that is later than a moment."""
        if moment is not None:
            window.end = max(window.begin, min(window.end, moment))

    def done(self, window: Window) -> None:
        """Note that all of a window has been read."""
        self._unread = [other for other in self._unread if other is not window]

    @property
    def behind(self) -> Window | None:
        """What is unread of the time since the exporter began; None where nothing is."""
        return next((w for w in self._unread if w.end > self._began), None)

    def recorded(self) -> Recorded:
        """Return what is remembered now."""
        return Recorded(
            self._changes,
            dict(self._counts),
            tuple((window.begin, window.end) for window in self._unread),
            self.problem,
        )

    def _forget(self, now: float) -> None:
        oldest = now - KEEP
        if self._changes and self._changes[-1].at < oldest:
            self._changes = tuple(c for c in self._changes if c.at >= oldest)
        if len(self._known) > _KNOWN:
            # With room for some more, so that this is not done at each page.
            ordered = sorted((at, id_) for id_, at in self._known.items())
            self._forgotten = max(self._forgotten, ordered[-_KNOWN * 9 // 10 - 1])
        elif now - self._forgot_at > OVERLAP:
            self._forgotten = max(self._forgotten, (oldest, ""))
        else:
            return
        self._forgot_at = now
        self._known = {i: at for i, at in self._known.items() if (at, i) > self._forgotten}
