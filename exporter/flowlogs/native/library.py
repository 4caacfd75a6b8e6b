"""The compiled code and what it takes, as ctypes sees it.

The interpreter's lock is released during a call.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

PATH = Path(__file__).parent / "libscan.so"
SOURCES = sorted(PATH.parent.glob("*.[ch]"))

# As in verdict.h and scan.c.
MOST_FIELDS, MOST_ENDS = 64, 2
DONE, FULL, ODD_FULL, LETTER = range(4)
_POSITIONS = (
    "interface_id",
    "action",
    "start",
    "end",
    "log_status",
    "packets",
    "bytes",
    "tcp_flags",
    "source_port",
    "target_port",
    "protocol",
)


class Layout(ctypes.Structure):
    """Where the fields of a line stand."""

    POSITIONS = _POSITIONS
    _fields_: ClassVar[Any] = [
        ("fields", c_int32),
        ("runs", c_int32),
        ("first", c_int32 * MOST_FIELDS),
        ("last", c_int32 * MOST_FIELDS),
        *((name, c_int32) for name in _POSITIONS),
        ("ends", c_int32 * (2 * MOST_ENDS)),
    ]


class TokenTable(ctypes.Structure):
    """A hash table of tokens."""

    _fields_: ClassVar[Any] = [
        ("text", c_char_p),
        ("begins", c_void_p),
        ("slots", c_void_p),
        ("taken", c_void_p),
        ("number", c_int64),
        ("mask", c_int64),
    ]


class Verdicts(ctypes.Structure):
    """The tables of a Judge."""

    _fields_: ClassVar[Any] = [
        *((name, c_void_p) for name in ("owners", "owner", "born", "until", "many")),
        *((name, c_void_p) for name in ("begin", "end", "tangled")),
        ("interfaces", c_int64),
        *((name, c_double) for name in ("first_seen", "lookback", "delivered", "clocks_differ")),
    ]


class Ledger(ctypes.Structure):
    """What records add to."""

    RESULTS = ("counted", "other", "duplicate", "before_start", "late")
    _fields_: ClassVar[Any] = [
        *((name, c_void_p) for name in ("sums", "rejected", "ports", "seen", "text", "clients")),
        ("salt", c_uint64),
        *((name, c_int64) for name in ("rejected_room", "ports_room", "text_room")),
        *((name, c_int64) for name in ("rejected_count", "ports_count", "text_size")),
        *((name, c_int64) for name in RESULTS),
    ]


class Found(ctypes.Structure):
    """What a scan adds to."""

    _fields_: ClassVar[Any] = [
        ("ledger", Ledger),
        ("odd", c_void_p),
        *((name, c_int64) for name in ("odd_room", "odd_count", "no_data", "skip_data")),
        *((name, c_int64) for name in ("latest", "newest", "why")),
    ]


class Runs(ctypes.Structure):
    """Numbers of a page of Parquet that are runs of one value, or packed."""

    _fields_: ClassVar[Any] = [
        *((name, c_void_p) for name in ("at", "end")),
        *((name, c_int64) for name in ("width", "repeated", "packed", "bit")),
        ("value", c_uint64),
    ]


class Column(ctypes.Structure):
    """The page of a column of Parquet that is being read."""

    _fields_: ClassVar[Any] = [
        *((name, c_void_p) for name in ("text", "numbers", "places", "codes")),
        *((name, c_int64) for name in ("size", "left", "next")),
        *((name, c_int32) for name in ("there", "optional", "in_turn")),
        ("levels", Runs),
        ("indexes", Runs),
    ]


class Columns(ctypes.Structure):
    """The columns of Parquet that are read."""

    _fields_: ClassVar[Any] = [("of", Column * 15)]


class Rows(ctypes.Structure):
    """What rows of Parquet add to."""

    _fields_: ClassVar[Any] = [
        ("ledger", Ledger),
        *((name, c_void_p) for name in ("aside", "text")),
        *((name, c_int64) for name in ("aside_room", "text_room", "aside_count", "text_size")),
        *((name, c_int64) for name in ("no_data", "skip_data", "malformed", "told")),
        *((name, c_int64) for name in ("latest", "newest")),
    ]


class Library:
    """The functions of the compiled code."""

    def __init__(self, path: Path) -> None:
        functions = ctypes.CDLL(str(path))
        self.source = ctypes.c_char_p.in_dll(functions, "flow_source").value
        self.scan: Any = functions.flow_scan
        self.scan.restype = c_int64
        self.scan.argtypes = [
            *(c_char_p, c_int64, c_int64, POINTER(Layout)),
            *(POINTER(TokenTable), POINTER(TokenTable), POINTER(Verdicts), POINTER(Found)),
        ]
        self.fill: Any = functions.flow_fill
        self.fill.restype = None
        self.fill.argtypes = [POINTER(TokenTable)]
        self.rows = _function(
            functions.flow_rows,
            c_int64,
            POINTER(Columns),
            c_int64,
            POINTER(Verdicts),
            POINTER(Rows),
        )
        self.numbers = _function(
            *(functions.flow_numbers, c_int64, c_void_p, c_int64, c_int64, c_int64, c_int32),
            *(c_int64, c_void_p),
        )
        self.texts = _function(
            *(functions.flow_texts, c_int64, c_void_p, c_int64, c_int64, c_int32),
            *(POINTER(TokenTable), c_int64, c_void_p, c_void_p),
        )
        self.snappy = _function(
            functions.flow_snappy, c_int32, c_char_p, c_int64, c_void_p, c_int64
        )
        # Those that take no time keep the interpreter's lock: to get it back may take longer.
        short = ctypes.PyDLL(str(path))
        self.footer = _function(
            *(short.flow_footer, c_int32, c_char_p, c_int64, c_int64, c_void_p, c_int64),
            *(c_void_p, c_int64, POINTER(c_int64)),
        )
        self.page = _function(
            short.flow_page, c_int32, c_char_p, c_int64, c_int64, POINTER(c_int64)
        )
        self.levels = _function(short.flow_levels, c_int64, POINTER(Column), c_void_p, c_int64)
        self.indexes = _function(
            short.flow_indexes, c_int32, POINTER(Column), c_void_p, c_int64, c_int64
        )


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


class Tokens:
    """A set of tokens as the compiled code looks them up."""

    def __init__(self, library: Library, tokens: Sequence[str]) -> None:
        texts = [token.encode() for token in tokens]
        # So many that a token of no use to anybody finds most of them empty.
        slots = 1 << max(6, (64 * len(texts)).bit_length())
        # Kept here for as long as the table points to them.
        self._text = b"".join(texts)
        self._begins = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        self._slots = np.full(slots, -1, np.int32)
        self._taken = np.zeros(slots // 64, np.uint64)
        arrays = (array.ctypes.data for array in (self._begins, self._slots, self._taken))
        self.table = TokenTable(self._text, *arrays, len(texts), slots - 1)
        library.fill(self.table)


def load(path: Path = PATH) -> Library | None:
    """Return the compiled code; None where it was not built, or from another source than this."""
    try:
        library = Library(path)
    except (OSError, AttributeError, ValueError):
        return None
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()
    return library if library.source == digest.encode() else None


LIBRARY = load()
