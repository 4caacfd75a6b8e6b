"""Parquet read in a process of its own: what a damaged page does to its reader stays there.

A bad length in a page makes polars ask for more memory than there is, and abort. No handler
catches that, and the daemon would end, start again and read the same file again. Memory of the
columns stays in that process too.
"""

from __future__ import annotations

import atexit
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from exporter.flowlogs.parse import Malformed
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# How the reader of a file ends by itself; any other signal comes from somebody else.
_FAULTS = frozenset(
    [signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP]
)
# No file takes so long, in seconds; what does is left to a later pass.
PATIENCE = 300.0
# So much address space a reader may take: AWS's largest file needs a tenth.
_MOST_MEMORY = 8 * 1024**3
_LENGTH = 8
# Where this package is.
_HOME = str(Path(__file__).parents[2])


class Readers:
    """Processes that read Parquet, as many as are asked at a time, kept for the next file."""

    def __init__(self, command: tuple[str, ...] = ("-m", __name__)) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._idle: list[_Reader] = []
        atexit.register(self.close)

    def read(self, data: bytes, table: Table, delivered: float, tally: Tally) -> str | None:
        """Count a file's rows as `parquet.read` does; return what is wrong with it, or None.

        One that its reader breaks on twice is broken. Raises OSError when a reader cannot be
        started, was ended by somebody else, or came to no end.
        """
        for _ in range(2):
            reader = self._reader()
            answer = reader.ask(data, table, delivered)
            if answer is not None:
                with self._lock:
                    self._idle.append(reader)
                counted, problem = answer
                tally.merge(counted)
                return problem
        problem = f"broken Parquet: its reader ended by {reader.ended_by}, twice"
        tally.malformed(table.flow_log_id, Malformed(problem), "")
        return problem

    def _reader(self) -> _Reader:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Reader(self._command)

    def close(self) -> None:
        """End the processes that read nothing now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.end()


class _Reader:
    """One process; it ends when our end of its input does, so it never outlives us."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own module, in our own Python
            # Not what happens to lie in the working directory.
            [sys.executable, "-P", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # polars writes its panics there
            env={**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONPATH": _HOME},
            # Ctrl-C is for the daemon.
            start_new_session=True,
        )
        self._table: Table | None = None
        self.ended_by = ""

    def ask(self, data: bytes, table: Table, delivered: float) -> tuple[Tally, str | None] | None:
        """Return what is in a file, and what is wrong with it; None when that broke the reader.

        Raises OSError when something else ended it.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        patience = threading.Timer(PATIENCE, process.kill)
        patience.daemon = True
        patience.start()
        try:
            _send(process.stdin, (None if table is self._table else table, delivered))
            _send(process.stdin, data)
            answer: tuple[Tally, str | None] = _receive(process.stdout)
        except (EOFError, OSError):
            self._die()
            return None
        finally:
            patience.cancel()
        self._table = table
        return answer

    def _die(self) -> None:
        """Take note of how the process ended; raises OSError unless it broke by itself."""
        self.end()
        code = self._process.returncode
        name = signal.Signals(-code).name if code < 0 else f"code {code}"
        if code >= 0 or -code not in _FAULTS:
            raise OSError(f"the process that reads Parquet ended by {name}")
        self.ended_by = name

    def end(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream:
                    stream.close()
            except OSError:
                pass  # what it did not take any more
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _send(stream: BinaryIO | Any, value: object) -> None:
    text = value if isinstance(value, bytes) else pickle.dumps(value)
    stream.write(len(text).to_bytes(_LENGTH, "little"))
    stream.write(text)
    stream.flush()


def _bytes(stream: BinaryIO | Any) -> bytes:
    length = int.from_bytes(_exactly(stream, _LENGTH), "little")
    return _exactly(stream, length)


def _exactly(stream: BinaryIO | Any, length: int) -> bytes:
    data: bytes = stream.read(length)
    if len(data) < length:
        raise EOFError("the other side has ended")
    return data


def _receive(stream: BinaryIO | Any) -> Any:
    return pickle.loads(_bytes(stream))  # noqa: S301  # what our own process wrote


def serve(
    read: Callable[[bytes, Table, float, Tally], str | None], asked: BinaryIO, told: BinaryIO
) -> None:
    """Read one file after the other, until nobody asks any more."""
    known: Table | None = None
    while True:
        try:
            table, delivered = _receive(asked)
            data = _bytes(asked)
        except EOFError:
            return
        known = known if table is None else table
        assert known is not None, "the first question brings its table"
        tally = Tally()
        problem = read(data, known, delivered, tally)
        _send(told, (tally, problem))


if __name__ == "__main__":
    from exporter.flowlogs import parquet

    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(parquet.read, sys.stdin.buffer, sys.stdout.buffer)
