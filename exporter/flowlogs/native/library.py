"""The compiled code of `scan.c` and what it takes, as ctypes sees it.

The interpreter's lock is released during a call.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

SOURCE = Path(__file__).parent / "scan.c"
PATH = Path(__file__).parent / "libscan.so"

# As in scan.c.
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
        ("number", c_int64),
        ("mask", c_int64),
    ]


class Found(ctypes.Structure):
    """What a scan adds to."""

    _fields_: ClassVar[Any] = [
        ("rows", c_void_p),
        ("text", c_void_p),
        ("odd", c_void_p),
        *(
            (name, c_int64)
            for name in (
                *("room", "text_room", "odd_room"),
                *("row_count", "text_size", "odd_count"),
                *("other", "no_data", "skip_data"),
                *("latest", "newest"),
                "why",
            )
        ),
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
            *(POINTER(TokenTable), POINTER(TokenTable), POINTER(Found)),
        ]
        self.fill: Any = functions.flow_fill
        self.fill.restype = None
        self.fill.argtypes = [POINTER(TokenTable)]


class Tokens:
    """A set of tokens as the compiled code looks them up."""

    def __init__(self, library: Library, tokens: Sequence[str]) -> None:
        texts = [token.encode() for token in tokens]
        slots = 1 << max(6, (16 * len(texts)).bit_length())
        # Kept here for as long as the table points to them.
        self._text = b"".join(texts)
        self._begins = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        self._slots = np.full(slots, -1, np.int32)
        self.table = TokenTable(
            self._text, self._begins.ctypes.data, self._slots.ctypes.data, len(texts), slots - 1
        )
        library.fill(self.table)


def load(path: Path = PATH) -> Library | None:
    """Return the compiled code; None where it was not built, or from another source than this."""
    try:
        library = Library(path)
    except (OSError, AttributeError, ValueError):
        return None
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    return library if library.source == digest.encode() else None


LIBRARY = load()
