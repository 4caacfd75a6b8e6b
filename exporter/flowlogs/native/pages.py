"""Columns of Parquet, page by page, as the compiled code reads them.

Every value is a place in a table: of a dictionary, or of the page itself where it has none. So a
text is looked up once for each entry of a dictionary, not for each row.
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from isal import igzip_lib

from exporter.flowlogs.native.library import Column, Columns, Library, Tokens

Bytes: TypeAlias = npt.NDArray[np.uint8]

# No writer's page is larger, and no column has so many.
MOST_PAGE, MOST_PAGES = 16 * 1024**2, 16_384
# As in parquet.c: the columns that are read, texts first.
TEXTS = ("interface_id", "action", "log_status", "dstaddr", "pkt_dstaddr", "srcaddr", "pkt_srcaddr")
NUMBERS = (
    *("start", "end", "packets", "bytes", "tcp_flags"),
    *("srcport", "dstport", "protocol"),
)
_STAMPS, _ADDRESSES = ("start", "end"), ("dstaddr", "pkt_dstaddr", "srcaddr", "pkt_srcaddr")
# Of the file format: physical types, meanings (described.c), codecs, kinds of pages, encodings.
_INT32, _INT64, _BYTES = 1, 2, 6
_NO_MEANING, _TEXT, _SIGNED = 0, 1, 2
_UNCOMPRESSED, _SNAPPY, _GZIP = 0, 1, 2
_DATA, _DICTIONARY = 0, 2
_PLAIN, _RLE, _BY_DICTIONARY = 0, 3, (2, 8)


class Odd(Exception):  # noqa: N818  # names what it is
    """Raised for a file that is damaged, or not as plain as AWS's are."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's bytes, and what its columns are read with and into."""

    library: Library
    data: bytes
    interfaces: Tokens
    addresses: Tokens
    columns: Columns = field(default_factory=Columns)
    # Where the description of a page goes.
    page: Any = field(default_factory=ctypes.c_int64 * 7)


class Cursor:
    """A column that is read page by page. `struct` is what the compiled code sees of it."""

    def __init__(self, source: Source, role: int, described: list[int], at: int) -> None:
        _, _, physical, optional, meaning = described
        self.role, self.at = role, at
        self._is_text = role < len(TEXTS)
        good = (
            physical == _BYTES and meaning == _TEXT
            if self._is_text
            else physical in (_INT32, _INT64) and meaning in (_NO_MEANING, _SIGNED)
        )
        if not good or optional not in (0, 1):
            raise Odd(f"column of type {physical}")
        self._bytes = 4 if physical == _INT32 else 8
        self._source = source
        self.struct: Column = source.columns.of[role]
        self.struct.there, self.struct.optional = 1, optional
        self.held = 0
        self._pages = 0

    def open(self, part: list[int]) -> None:
        """Begin with what a row group has of it."""
        self._left, self._codec, self._begin, size = part
        self._end = self._begin + size
        if not 0 <= self._begin <= self._end <= len(self._source.data):
            raise Odd("a column that is not in the file")
        self._dictionary: Values | None = None
        self.struct.left = 0

    def close(self) -> None:
        """End what a row group has of it."""
        if self.struct.left or self._left:
            raise Odd("columns of different lengths")

    def turn(self) -> None:
        """Begin the next page that has values."""
        page = self._source.page
        while not self.struct.left:
            if not self._source.library.page(self._source.data, self._begin, self._end, page):
                raise Odd("a page's head")
            kind, plain_size, packed_size, values, encoding, levels, begin = page
            if not 0 <= plain_size <= MOST_PAGE or kind not in (_DATA, _DICTIONARY):
                raise Odd(f"a page of kind {kind}")
            self._pages += 1
            if self._pages > MOST_PAGES:
                raise Odd("very many pages")
            self._begin = begin + packed_size
            body = self._plain(self._source.data[begin : self._begin], plain_size)
            if kind == _DICTIONARY:
                if self._dictionary or encoding not in (_PLAIN, *_BY_DICTIONARY):
                    raise Odd("a second dictionary")
                self._dictionary = self._values(body, 0, values)
                if self._dictionary.number != values:
                    raise Odd("a dictionary that is cut")
                continue
            if values > self._left or (self.struct.optional and levels != _RLE):
                raise Odd("a page with more values than there are")
            self._left -= values
            self._data(body, encoding, values)

    def _data(self, body: Bytes, encoding: int, values: int) -> None:
        """Begin a page of data."""
        struct = self.struct
        begin = self._source.library.levels(struct, body.ctypes.data, len(body))
        if begin < 0:
            raise Odd("levels")
        if encoding == _PLAIN:
            found = self._values(body, begin, values)
            struct.in_turn, struct.next = 1, 0
        else:
            if encoding not in _BY_DICTIONARY or self._dictionary is None:
                raise Odd(f"values in encoding {encoding}")
            found = self._dictionary
            if not self._source.library.indexes(struct, body.ctypes.data, begin, len(body)):
                raise Odd("places in a dictionary")
        self._page = body, found
        self.held = len(body) + found.held + (self._dictionary.held if self._dictionary else 0)
        found.show(struct)
        struct.left = values

    def _plain(self, body: bytes, size: int) -> Bytes:
        """Return a page's body, decompressed."""
        if self._codec == _SNAPPY:
            found = np.empty(size, np.uint8)
            if not self._source.library.snappy(body, len(body), found.ctypes.data, size):
                raise Odd("no block of Snappy")
            return found
        if self._codec == _GZIP:
            member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            body = member.decompress(body, size + 1)
            if not member.eof or member.unused_data.strip(b"\0"):
                raise Odd("a page of several members")
        elif self._codec != _UNCOMPRESSED:
            raise Odd(f"codec {self._codec}")
        if len(body) != size:
            raise Odd("a page of another size")
        return np.frombuffer(body, np.uint8)

    def _values(self, body: Bytes, begin: int, most: int) -> Values:
        if self._is_text:
            return Texts(self._source, body, begin, most, self.role)
        return Numbers(
            self._source, body, begin, most, self._bytes, NUMBERS[self.role - len(TEXTS)]
        )


class Values(ABC):
    """A table of values: those of a dictionary, or of a page, and behind them none."""

    number: int
    # How many bytes it takes.
    held: int

    @abstractmethod
    def show(self, struct: Column) -> None:
        """Give it to the compiled code."""


class Numbers(Values):
    """Numbers, negative ones as none."""

    def __init__(
        self, source: Source, body: Bytes, begin: int, most: int, size: int, name: str
    ) -> None:
        self._table = np.empty(min(most, (len(body) - begin) // size) + 1, np.int64)
        self.number = source.library.numbers(
            body.ctypes.data, begin, len(body), size, name in _STAMPS, most, self._table.ctypes.data
        )
        self.held = self._table.nbytes

    def show(self, struct: Column) -> None:
        """Give them to the compiled code."""
        struct.numbers, struct.size = self._table.ctypes.data, self.number


class Texts(Values):
    """Texts, with what they mean."""

    def __init__(self, source: Source, body: Bytes, begin: int, most: int, role: int) -> None:
        room = min(most, (len(body) - begin) // 4) + 1
        self._body = body
        self._places, self._codes = np.empty((room, 2), np.int64), np.empty(room, np.int32)
        tokens = source.addresses if TEXTS[role] in _ADDRESSES else source.interfaces
        self.number = source.library.texts(
            *(body.ctypes.data, begin, len(body), role, tokens.table, most),
            *(self._places.ctypes.data, self._codes.ctypes.data),
        )
        if self.number < 0:
            raise Odd("a text that is long, or not ASCII")
        self.held = len(body) + self._places.nbytes + self._codes.nbytes

    def show(self, struct: Column) -> None:
        """Give them to the compiled code."""
        struct.text = self._body.ctypes.data
        struct.places, struct.codes = self._places.ctypes.data, self._codes.ctypes.data
        struct.size = self.number
