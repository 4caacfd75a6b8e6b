"""A file of flow-log lines, as it comes: decompressed and counted slice by slice.

Memory stays the same whatever the file's size. The layout is the header's; where there is none,
what DescribeFlowLogs says it is. A header in mid-file says what follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from isal import isal_zlib

from exporter.flowlogs.formats import Format, UnusableFormat, from_fields, header
from exporter.flowlogs.kernel import Kernel, Lines, chosen
from exporter.flowlogs.parse import Malformed
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# At most so much is decompressed by one call, and looked at before more is.
SLICE = 1_048_576
# AWS writes lines of some hundred bytes, a thousand with every field. What is longer than this is
# not held until its end comes.
LONGEST_LINE = 1_000_000
# How much is decompressed at a time, and how much of a file that turned out to be corrupt.
STEP, SMALL_STEP = 262_144, 256
# AWS closes a file at 75 MB; a file that grows beyond this is no flow log.
LARGEST_FILE = 8 * 1024**3
_GZIP = b"\x1f\x8b"
# No chunk is empty.
_END = b""
_WINDOW = 31


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
    kernel: Kernel = field(default_factory=chosen)
    _lines: Lines = field(init=False)
    # Why there is no layout, and whether a line goes on that is too long.
    _unusable: str = "unknown layout: no header and no LogFormat"
    _endless: bool = False

    def __post_init__(self) -> None:
        self._lines = self.kernel(self.table, self.delivered, self.tally)

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
                if size >= self._lines.SLICE:
                    held = [self._whole_lines(held)]
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
        self._whole_lines([rest])
        self._lines.flush()

    def _whole_lines(self, held: list[bytes]) -> bytes:
        """Count the whole lines of what is held and return what is left."""
        *before, data = held
        begin = data.find(b"\n") + 1
        if self._endless:
            # Up to its end it is the line that was counted already.
            if not begin:
                return b""
            self._endless = False
        elif before and begin:
            # Only the line that it goes on with has to be put together.
            line = b"".join((*before, data[:begin]))
            self._count(line, 0, len(line))
        else:
            begin, data = 0, b"".join(held)
        end = data.rfind(b"\n") + 1
        self._count(data, begin, end)
        rest = data[end:]
        if len(rest) > LONGEST_LINE:
            self._malformed("a line without an end", rest)
            self._endless = True
            return b""
        return rest

    def _count(self, data: bytes, begin: int, end: int) -> None:
        """Count the whole lines of a part of the data; what is behind a header is read by it."""
        while begin < end:
            behind = data.index(b"\n", begin) + 1
            fields = header(data[begin:behind])
            if fields:
                self._turn(fields)
                begin = behind
            elif self.layout is None:
                upto = self._next_header(data, behind, end)
                self._unknown(data[begin:upto])
                begin = upto
            else:
                begin = self._lines.count(data, begin, end, self.layout)

    def _next_header(self, data: bytes, begin: int, end: int) -> int:
        """Return where the next header begins, or the end."""
        while begin < end:
            behind = data.index(b"\n", begin) + 1
            if header(data[begin:behind]):
                break
            begin = behind
        return begin

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
