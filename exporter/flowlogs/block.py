"""Many lines of one layout at once: where each field of each line stands, as arrays.

A block of a megabyte is read by a few passes of NumPy over its bytes, in the processor's cache and
without the interpreter's lock. Words of eight bytes are taken from any position: a token's end, a
number of up to eight digits, a word such as ACCEPT are one word each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = Ints | slice

# Before and after the lines, so that words near their ends can be taken.
_PAD = 64
_DASH = ord("-")
EVERY = slice(None)


def word(text: bytes) -> np.uint64:
    """Return up to eight bytes as the word that begins with them."""
    return np.uint64(int.from_bytes(text, "little"))


def _masks(make: Any, most: int) -> Words:
    return np.array([make(n) & (2**64 - 1) for n in range(most + 1)], np.uint64)


# The first n bytes of a word, the last n, and the lowest n bits.
FIRST = _masks(lambda n: (1 << 8 * n) - 1, 8)
LAST = _masks(lambda n: ((1 << 8 * n) - 1) << (64 - 8 * n), 8)
_BITS = _masks(lambda n: (1 << n) - 1, 57)
_ZEROS = word(b"0" * 8)
_U = np.uint64


class Block:
    """Lines of one layout: each has exactly the fields, none of them empty, one space between.

    `data` is a whole number of such lines. Rows are numbers of lines, or EVERY.
    """

    def __init__(self, data: bytes, ends: npt.NDArray[np.int64], separators: Mask) -> None:
        self._data = data
        self.bytes = np.frombuffer(data, np.uint8)
        self._words = _words(data)
        self._ends = ends
        self._begins = np.concatenate(([_PAD], ends[:-1, -1] + 1))
        self._separators = separators
        self.height = len(ends)

    @classmethod
    def of(cls, lines: bytes, fields: int) -> Block | None:
        """Return the block; None when a line has not so many fields, or has control characters."""
        data = bytes(_PAD) + lines + bytes(_PAD)
        at = np.frombuffer(data, np.uint8)
        separators = at <= 32
        inside = separators[_PAD:-_PAD]
        ends = np.flatnonzero(inside) + _PAD
        height, odd = divmod(len(ends), fields)
        if odd or not height:
            return None
        shaped = ends.reshape(height, fields)
        body = at[_PAD:-_PAD]
        regular = (
            bool((at[shaped[:, -1]] == 10).all())
            and np.count_nonzero(body == 32) == height * (fields - 1)
            and not inside[0]
            and not bool((inside[1:] & inside[:-1]).any())
        )
        return cls(data, shaped, separators) if regular else None

    def begin(self, column: int, rows: Rows = EVERY) -> Ints:
        """Return where a column's tokens begin."""
        if column:
            return self._ends[rows, column - 1] + 1
        return self._begins[rows]

    def end(self, column: int, rows: Rows = EVERY) -> Ints:
        """Return where a column's tokens end: the separators behind them."""
        return self._ends[rows, column]

    def length(self, column: int, rows: Rows = EVERY) -> Ints:
        """Return how many bytes a column's tokens have."""
        return self.end(column, rows) - self.begin(column, rows)

    def take(self, rows: Ints) -> Block:
        """Return a block of some of the lines, at least one."""
        taken = Block.of(b"".join(self.line(row) for row in rows.tolist()), self._ends.shape[1])
        assert taken is not None, "its lines are as regular as these"
        return taken

    def line(self, row: int) -> bytes:
        """Return a line, with what ends it."""
        return self._data[int(self._begins[row]) : int(self._ends[row, -1]) + 1]

    def token(self, column: int, row: int) -> str:
        """Return a token."""
        begin = self._ends[row, column - 1] + 1 if column else self._begins[row]
        return self._data[int(begin) : int(self._ends[row, column])].decode("utf-8", "replace")

    def at(self, position: Ints) -> Words:
        """Return the words at the positions."""
        return self._words[position]

    def tail(self, column: int, rows: Rows = EVERY) -> Words:
        """Return the last eight bytes of each token, at the word's end; zero bytes before them."""
        end = self.end(column, rows)
        found = self._words[end - 8]
        length = end - self.begin(column, rows)
        if len(length) and length.min() < 8:
            found &= LAST[np.minimum(length, 8)]
        return found

    def equals(self, column: int, text: bytes, rows: Rows = EVERY) -> Mask:
        """Return which tokens are a text of at most eight bytes."""
        found: Mask = (self._words[self.begin(column, rows)] & FIRST[len(text)]) == word(text)
        found &= self.length(column, rows) == len(text)
        return found

    def begins_with(self, column: int, text: bytes, rows: Rows = EVERY) -> Mask:
        """Return which tokens begin with a text of at most eight bytes without separators."""
        found: Mask = (self._words[self.begin(column, rows)] & FIRST[len(text)]) == word(text)
        return found

    def is_dash(self, column: int, rows: Rows = EVERY) -> Mask:
        """Return which tokens are `-`, of those that are that or a number."""
        found: Mask = self.bytes[self.begin(column, rows)] == _DASH
        return found

    def all_numbers(self, runs: Iterable[tuple[int, int]], dashes: bool) -> Mask:
        """Return which lines have only numbers in the runs of columns (first, last).

        With `dashes` a token may be `-` instead.
        """
        unclean = self._unclean(dashes)
        clean = np.ones(self.height, np.bool_)
        for first, last in runs:
            begin = self.begin(first)
            left = self.end(last) - begin
            while True:
                # Of the word's 64 bits up to seven belong to what is before.
                bits = unclean[begin >> 3] >> (begin & 7).astype(_U)
                clean &= (bits & _BITS[np.clip(left, 0, 57)]) == 0
                left = left - 57
                if not (left > 0).any():
                    break
                begin = np.minimum(begin + 57, len(self._data) - _PAD)
        return clean

    def _unclean(self, dashes: bool) -> Words:
        """Return a bit for each byte that no number and no space between numbers has."""
        bad = (self.bytes - np.uint8(48)) > 9
        np.greater(bad, self._separators, out=bad)
        if dashes:
            lone = self.bytes[1:-1] == _DASH
            lone &= self._separators[:-2]
            lone &= self._separators[2:]
            bad[1:-1] &= ~lone
        return _words(np.packbits(bad, bitorder="little"))

    def numbers(self, column: int, rows: Rows = EVERY) -> Ints:
        """Return the numbers of a column of numbers; -1 for `-`, -2 for more than 16 digits."""
        begin, end = self.begin(column, rows), self.end(column, rows)
        length = end - begin
        value = _digits(self._words[end - 8], np.minimum(length, 8))
        if len(length) and length.max() > 8:
            above = _digits(self._words[end - 16], np.clip(length - 8, 0, 8))
            value = above * _U(10**8) + value
        found = value.astype(np.int64)
        found[self.bytes[begin] == _DASH] = -1
        found[length > 16] = -2
        return found

    def largest(self, column: int, rows: Rows) -> int | None:
        """Return at which of the rows the largest number of a column stands.

        None where they do not all have as many digits, and those before the last eight in common:
        the stamps of one slice do.
        """
        end, length = self.end(column, rows), self.length(column, rows)
        above = self._words[end - 16] & LAST[min(max(int(length[0]) - 8, 0), 8)]
        if (length != length[0]).any() or (above != above[0]).any() or not 8 <= length[0] <= 16:
            return None
        return int(self._words[end - 8].byteswap().argmax())


class Vocabulary:
    """A set of tokens, and which of a column's tokens is which of them.

    The last eight bytes lead to a slot; what is found there is then compared whole.
    """

    _FACTOR = _U(0x9E3779B97F4A7C15)
    _NONE, _CROWDED = -1, -2

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self._index = {token: i for i, token in enumerate(tokens)}
        texts = [token.encode() for token in tokens]
        bits = max(12, (64 * len(texts)).bit_length())
        self._shift = _U(64 - bits)
        self._slots = np.full(1 << bits, self._NONE, np.int32)
        tails = np.array([word(t[-8:].rjust(8, b"\0")) for t in texts], np.uint64)
        for i, slot in enumerate(self._slot(tails).tolist()):
            self._slots[slot] = i if self._slots[slot] == self._NONE else self._CROWDED
        self._lengths = np.array([len(t) for t in texts], np.int64)
        self._tails = tails
        # The words from the beginning on that the tail does not cover, zero where it does.
        longest = max((len(t) for t in texts), default=0)
        self._heads = [
            np.array([word(t[o : o + 8]) if len(t) > o + 8 else _U(0) for t in texts], np.uint64)
            for o in range(0, max(0, longest - 8), 8)
        ]

    def _slot(self, tails: Words) -> Words:
        return (tails * self._FACTOR) >> self._shift

    def numbers(self, texts: Iterable[str | None]) -> npt.NDArray[np.int32]:
        """Return for each text which token it is; -1 for none of them."""
        return np.array([self._index.get(text or "", self._NONE) for text in texts], np.int32)

    def find(self, block: Block, column: int) -> npt.NDArray[np.int32]:
        """Return for each line which token stands in a column; -1 for none of them."""
        if not len(self._lengths):
            return np.full(block.height, self._NONE, np.int32)
        tails = block.tail(column)
        found = self._slots[self._slot(tails)]
        hits = np.flatnonzero(found != self._NONE)
        if len(hits):
            candidates = found[hits]
            crowded = candidates == self._CROWDED
            same = (~crowded) & (tails[hits] == self._tails[candidates])
            same &= block.length(column, hits) == self._lengths[candidates]
            begin = block.begin(column, hits)
            for i, heads in enumerate(self._heads):
                longer = self._lengths[candidates] > 8 * i + 8
                same &= ~longer | (block.at(begin + 8 * i) == heads[candidates])
            found[hits[~same]] = self._NONE
            for row in hits[crowded].tolist():
                found[row] = self._index.get(block.token(column, row), self._NONE)
        return found


def _words(data: bytes | npt.NDArray[np.uint8]) -> Words:
    """Return a word for each position of the data but the last seven."""
    return np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))


def _digits(found: Words, length: Ints) -> Words:
    """Return the numbers that the last so many bytes of the words are, as ASCII digits."""
    kept = LAST[length]
    digits = ((found & kept) | (_ZEROS & ~kept)) - _ZEROS
    digits = digits * _U(10) + (digits >> _U(8))
    pairs = _U(0x000000FF000000FF)
    high = (digits & pairs) * _U(0x000F424000000064)
    low = ((digits >> _U(16)) & pairs) * _U(0x0000271000000001)
    return (high + low) >> _U(32)
