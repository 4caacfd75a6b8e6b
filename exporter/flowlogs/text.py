"""A file of flow-log lines, as it comes: decompressed and counted slice by slice.

Memory stays the same whatever the file's size. The layout is the header's; where there is none,
what DescribeFlowLogs says it is. A header in mid-file says what follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from isal import isal_zlib

from exporter.flowlogs import columns
from exporter.flowlogs.block import Block, Ints
from exporter.flowlogs.formats import TELLING, Format, UnusableFormat, from_fields, header_of
from exporter.flowlogs.parse import Malformed
from exporter.flowlogs.records import Sums
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# What fits the processor's cache: see `make bench-flowlogs`.
SLICE = 1_000_000
# AWS writes lines of some hundred bytes, a thousand with every field. What is longer than this is
# not held until its end comes.
LONGEST_LINE = 1_000_000
# So many lines are looked at at a time: a slice of good ones has fewer, one of blank lines a
# hundred times as many.
MOST_LINES = 50_000
# How much is decompressed at a time, and how much of a file that turned out to be corrupt.
STEP, SMALL_STEP = 131_072, 256
# AWS closes a file at 75 MB; a file that grows beyond this is no flow log.
LARGEST_FILE = 8 * 1024**3
_GZIP = b"\x1f\x8b"
# No chunk is empty.
_END = b""
_WINDOW = 31
_TELLING = tuple(name.encode() for name in sorted(TELLING))


class BrokenFile(Exception):  # noqa: N818  # names what it is
    """Raised after the last line that can be read of a file that is cut or too large."""


class CorruptFile(BrokenFile):
    """Raised where compressed data makes no sense; what came in the same step is lost with it."""


def plain(chunks: Iterable[bytes], step: int = STEP) -> Iterator[bytes]:
    """Yield the text of a file, decompressed where it is gzip, of one member or several.

    Raises BrokenFile after what could be read of a file that is cut or corrupt: of one that is
    corrupt all but the text of the last `step` bytes.
    """
    parts = (chunk[i : i + step] for chunk in chunks for i in range(0, len(chunk), step))
    data = next(parts, _END)
    while 0 < len(data) < len(_GZIP) and (more := next(parts, _END)):
        data += more
    if not data.startswith(_GZIP):
        yield data
        yield from parts
        return
    member = isal_zlib.decompressobj(wbits=_WINDOW)
    whole = 0
    while True:
        try:
            text = member.decompress(data, SLICE)
        except isal_zlib.error as error:  # type: ignore[misc]  # zlib.error
            raise CorruptFile(f"corrupt gzip: {error}") from None
        whole += len(text)
        yield text
        if whole > LARGEST_FILE:
            raise BrokenFile(f"more than {LARGEST_FILE // 1024**3} GiB when decompressed")
        data = member.unconsumed_tail
        if member.eof:
            # Padding with zeros may follow a member, or another one.
            data = member.unused_data.lstrip(b"\0")
            while not data:
                data = next(parts, _END)
                if data is _END:
                    return
                data = data.lstrip(b"\0")
            member = isal_zlib.decompressobj(wbits=_WINDOW)
        elif not data:
            data = next(parts, _END)
            if data is _END:
                raise BrokenFile("the file ends within a gzip member")


@dataclass(slots=True)
class Reader:
    """Counts a file's lines into a tally. `layout` is None until it is known or said to be none.

    `delivered` is when the file was, in seconds. Lines of a layout that cannot be counted are
    malformed; `problem` names it.
    """

    table: Table
    delivered: float
    tally: Tally
    layout: Format | None
    problem: str | None = None
    sums: Sums = field(init=False)
    # Why there is no layout, and whether a line goes on that is too long.
    _unusable: str = "unknown layout: no header and no LogFormat"
    _endless: bool = False

    def __post_init__(self) -> None:
        self.sums = Sums(self.table)

    def read(self, chunks: Iterable[bytes], step: int = STEP) -> None:
        """Count the lines of a file, given as its bytes, compressed or not.

        What cannot be read counts as one malformed line, and `problem` says why. Raises CorruptFile
        when reading it again in small steps would tell more.
        """
        held: list[bytes] = []
        size = 0
        cut = False
        try:
            for chunk in plain(chunks, step):
                held.append(chunk)
                size += len(chunk)
                if size >= SLICE:
                    held = [self._whole_lines(b"".join(held))]
                    size = len(held[0])
        except BrokenFile as broken:
            if isinstance(broken, CorruptFile) and step > SMALL_STEP:
                raise
            self._malformed(str(broken), b"")
            cut = True
        rest = b"".join(held)
        if cut:
            # The last line is cut, wherever that is: what is left of it may look whole.
            rest = rest[: rest.rfind(b"\n") + 1]
        elif rest and not rest.endswith(b"\n"):
            rest += b"\n"
        self._whole_lines(rest)
        self.sums.flush(self.tally)

    def _whole_lines(self, data: bytes) -> bytes:
        """Count the whole lines of the data and return what is left."""
        end = data.rfind(b"\n") + 1
        lines, rest = data[:end], data[end:]
        if self._endless:
            # Up to its end it is the line that was counted already.
            if not lines:
                return b""
            lines = lines[lines.index(b"\n") + 1 :]
            self._endless = False
        for piece in _pieces(lines):
            self._count(piece)
        if len(rest) > LONGEST_LINE:
            self._malformed("a line without an end", rest)
            self._endless = True
            return b""
        return rest

    def _count(self, lines: bytes) -> None:
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n")
        while lines and (fields := _header(lines[: lines.index(b"\n") + 1])):
            self._turn(fields)
            lines = lines[lines.index(b"\n") + 1 :]
        if lines and (self.layout is None or not self._counted(lines)):
            self._count_parts(lines)

    def _counted(self, lines: bytes) -> bool:
        """Count lines of the layout; return False, and count none, where a header is among them."""
        assert self.layout is not None, "it is known"
        fields = len(self.layout.fields)
        parts = split(lines, fields)
        found = columns.sort(parts.block, self.layout) if parts.block else None
        others = list(parts.others.values())
        if (others or (found and found.odd)) and any(name in lines for name in _TELLING):
            odd = [found.block.line(row) for row in found.odd] if found else []
            if any(_header(text) for text in (*others, *odd)):
                return False
        if found:
            columns.count(found, self.layout, self.sums, self.delivered, self.tally)
        # Of those there may be a great many, where a file is none of flow logs.
        wrong = [text for text in others if text.count(b" ") != fields - 1]
        if wrong:
            why = f"{wrong[0].count(b' ') + 1} fields where the format has {fields}"
            self._tell(Malformed(why), wrong[0], len(wrong))
            others = [text for text in others if text.count(b" ") == fields - 1]
        for text in others:
            line = text.rstrip(b"\r\n")
            columns.one(line, self.layout, self.table.judge, self.delivered, self.tally)
        return True

    def _count_parts(self, lines: bytes) -> None:
        """Count lines with headers among them: what is behind one is read by it."""
        held: list[bytes] = []
        for line in [*lines.split(b"\n")[:-1], None]:
            fields = None if line is None else _header(line)
            if line is not None and fields is None:
                held += (line, b"\n")
                continue
            part, held = b"".join(held), []
            if part and self.layout is None:
                self._unknown(part)
            elif part:
                self._counted(part)
            if fields:
                self._turn(fields)

    def _turn(self, fields: tuple[str, ...]) -> None:
        """Read on by a header's layout."""
        try:
            self.layout = from_fields(fields)
        except UnusableFormat as error:
            self.layout = None
            self.problem = f"unknown layout: {error}: {' '.join(fields)[:200]}"
            self._unusable = self.problem

    def _unknown(self, lines: bytes) -> None:
        self.problem = self._unusable
        first = lines[: lines.index(b"\n")]
        self._tell(Malformed(self.problem), first, lines.count(b"\n"))

    def _malformed(self, why: str, text: bytes) -> None:
        self.problem = why
        self._tell(Malformed(why), text)

    def _tell(self, why: Malformed, text: bytes, number: int = 1) -> None:
        shown = text[:200].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
        self.tally.malformed(self.table.flow_log_id, why, shown, number)


def _pieces(lines: bytes) -> Iterator[bytes]:
    """Yield the lines in pieces of so many as may be looked at at a time."""
    if lines.count(b"\n") <= MOST_LINES:
        yield lines
        return
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == 10) + 1
    first = 0
    for end in [*ends[MOST_LINES - 1 :: MOST_LINES].tolist(), len(lines)]:
        yield lines[first:end]
        first = end


def _header(line: bytes) -> tuple[str, ...] | None:
    """Return the fields that a line names if it is a header."""
    try:
        return header_of(line.decode("ascii"))
    except UnicodeDecodeError:
        return None


class Split(NamedTuple):
    """Lines that have exactly the fields, and by number those that have not.

    `rows` are the numbers of the block's lines among all; None where it has all of them.
    """

    block: Block | None
    rows: Ints | None
    others: Mapping[int, bytes]


def split(lines: bytes, fields: int) -> Split:
    """Return the lines that have so many fields, and those that have not.

    Nor are those with control characters, empty fields or bytes that are not UTF-8 among the first.
    """
    whole = _is_utf8(lines)
    block = Block.of(lines, fields) if whole else None
    if block:
        return Split(block, None, {})
    at = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(at == 10)
    begins = np.concatenate(([0], ends[:-1] + 1))
    separators = at <= 32
    strange = (at < 32) & (at != 10)
    strange[0] |= separators[0]
    strange[1:] |= separators[1:] & separators[:-1]
    good = np.add.reduceat(at == 32, begins, dtype=np.int64) == fields - 1
    good &= ~np.logical_or.reduceat(strange, begins)
    texts = [lines[a : b + 1] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]
    if not whole:
        good &= np.array([_is_utf8(text) for text in texts])
    rows = np.flatnonzero(good)
    regular = b"".join(texts[i] for i in rows.tolist())
    others = {i: texts[i] for i in np.flatnonzero(~good).tolist()}
    return Split(Block.of(regular, fields) if regular else None, rows, others)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
