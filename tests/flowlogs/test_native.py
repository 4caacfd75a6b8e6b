"""The compiled code reads lines as NumPy and the Judge do, whatever the bytes are."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flowlogs import kernel, text
from exporter.flowlogs.formats import DEFAULT, Format, from_log_format
from exporter.flowlogs.kernel import Kernel
from exporter.flowlogs.native import ledger
from exporter.flowlogs.native.library import LIBRARY, PATH, load
from exporter.flowlogs.native.lines import Compiled
from exporter.flowlogs.slices import Slices
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import LINES, Tally
from tests.flowlogs.judges import BEGIN
from tests.flowlogs.test_columns import JUDGES, KERNELS, RICH, make_line, one_by_one, seen

ROOT = Path(__file__).parents[2]
LAYOUT = from_log_format("")
DELIVERED = BEGIN + 600.0
TABLE = Table(JUDGES["plain"])


def hook() -> ModuleType:
    """Return the build hook."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(data: bytes, code: Kernel, layout: Format = LAYOUT) -> Tally:
    tally = Tally()
    text.Reader(TABLE, DELIVERED, tally, layout, kernel=code).read([data])
    return tally


def good(seed: int, number: int, log_format: str = DEFAULT, strange: float = 0.0) -> list[bytes]:
    draw, layout = random.Random(seed), from_log_format(log_format)
    return [make_line(draw, layout, strange) for _ in range(number)]


def test_it_is_there(program: Callable[[str], str]) -> None:
    """Where there is a compiler the code was compiled, from the source that is here."""
    program("cc")
    assert kernel.name() == "native"


PIECES = [
    b" ",
    b"-",
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"eni-0a1",
    b"eni-",
    b"OK",
]
PIECES += [b"ACCEPT", b"REJECT", b"NODATA", b"SKIPDATA", b"10.1.0.10", b"1", b"17", b"9" * 16]
PIECES += [b"0" * 17, b"x" * 70, b"1700000000", b"1700000000123", b"2001:db8::a:10", b"y" * 9000]


@pytest.mark.parametrize("code", KERNELS)
@settings(max_examples=200)
@given(
    pieces=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=9)), max_size=80),
    cut=st.integers(0, 200),
    log_format=st.sampled_from([DEFAULT, "${start} ${end} ${interface-id} ${action}"]),
)
def test_any_bytes(code: str, pieces: list[bytes], cut: int, log_format: str) -> None:
    """Bytes of any kind, with good lines among them, are read as line by line."""
    layout = from_log_format(log_format)
    lines = good(1, 2, log_format)
    whole = lines[0] + lines[1][:cut] + b"".join(pieces) + b"\n" + lines[1]
    each = whole[:-1].split(b"\n")
    judged = one_by_one(each, layout, JUDGES["plain"], DELIVERED)
    assert seen(read(whole, KERNELS[code], layout)) == seen(judged)


@pytest.mark.parametrize("code", KERNELS)
@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), log_format=st.sampled_from([DEFAULT, RICH]))
def test_a_byte_is_changed(code: str, seed: int, log_format: str) -> None:
    """One byte more, less or other in good lines is judged as line by line."""
    draw, layout = random.Random(seed), from_log_format(log_format)
    data = bytearray(b"".join(good(seed, 30, log_format)))
    for _ in range(draw.randrange(1, 8)):
        at = draw.randrange(len(data) - 1)
        byte = draw.choice([draw.randrange(256), *b" -\n\r/:09"])
        data[at : at + draw.randrange(3)] = bytes([byte] * draw.randrange(3))
    each = bytes(data).removesuffix(b"\n").split(b"\n")
    judged = one_by_one(each, layout, JUDGES["plain"], DELIVERED)
    assert seen(read(bytes(data), KERNELS[code], layout)) == seen(judged)


@pytest.mark.parametrize("strange", [0.0, 0.5])
def test_more_than_there_is_room_for(strange: float, program: Callable[[str], str]) -> None:
    """Records and odd lines beyond what is put aside at once are counted all the same."""
    program("cc")
    lines = good(2, ledger.REJECTED_ROOM * 3, strange=strange)
    assert LIBRARY
    found = read(b"".join(lines), partial(Compiled, LIBRARY))
    same = read(b"".join(lines), Slices)
    # Of so many rejected ones the sketches keep some, which depends on their order.
    for tally in (found, same):
        tally.rejected.clear()
        tally.recent.clear()
    assert seen(found) == seen(same)
    number = sum(n for key, n in found.counters.items() if key.name == LINES)
    assert number == len(lines)


@pytest.mark.parametrize("code", KERNELS)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_headers(code: str, ending: bytes) -> None:
    """What is behind a header in mid-file is read by it, what is before it is not."""
    other = "${start} ${end} ${interface-id} ${action} ${dstaddr}"
    before, behind = good(3, 20), good(4, 20, other)
    names = other.replace("${", "").replace("}", "").encode()
    data = b"".join([*before, b"x y\n", names + b"\n", *behind]).replace(b"\n", ending)
    tally = one_by_one([*before, b"x y"], LAYOUT, JUDGES["plain"], DELIVERED)
    tally.merge(one_by_one(behind, from_log_format(other), JUDGES["plain"], DELIVERED))
    assert seen(read(data, KERNELS[code])) == seen(tally)


@pytest.mark.parametrize("code", KERNELS)
def test_many_fields(code: str) -> None:
    """A layout of more fields than the compiled code knows is read as well."""
    log_format = f"{DEFAULT} {' '.join(f'${{more-{i}}}' for i in range(60))}"
    layout, lines = from_log_format(log_format), [b"x\n", *good(5, 50)]
    lines = [line[:-1] + b" -" * 60 + b"\n" for line in lines]
    judged = one_by_one(lines, layout, JUDGES["plain"], DELIVERED)
    assert seen(read(b"".join(lines), KERNELS[code], layout)) == seen(judged)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it was not compiled, or from another source, NumPy reads and says the same."""
    lines = good(6, 200, strange=0.1)
    before = seen(read(b"".join(lines), kernel.chosen()))
    assert load(tmp_path / PATH.name) is None
    (tmp_path / PATH.name).write_bytes(b"no library")
    assert load(tmp_path / PATH.name) is None
    monkeypatch.setattr(kernel, "LIBRARY", None)
    assert kernel.name() == "numpy"
    assert kernel.chosen() is Slices
    assert seen(read(b"".join(lines), kernel.chosen())) == before


@pytest.mark.parametrize("less", ["PLAIN", "WITHOUT_NEWEST"])
def test_building(less: str, tmp_path: Path, program: Callable[[str], str]) -> None:
    """The code compiles without a warning, and says the same whatever the processor knows."""
    program("cc")
    build = hook()
    target = tmp_path / PATH.name
    assert build.build(target, "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-D{less}") is None
    assert [path.name for path in tmp_path.iterdir()] == [PATH.name]
    portable = load(target)
    assert portable
    lines = good(7, 3000, RICH, strange=0.1)
    found = read(b"".join(lines), partial(Compiled, portable), from_log_format(RICH))
    assert seen(found) == seen(read(b"".join(lines), Slices, from_log_format(RICH)))


@pytest.mark.parametrize("command", ["false", "no-such-compiler"])
def test_a_compiler_that_fails(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is said in one line, and nothing is left."""
    monkeypatch.setenv("CC", command)
    problem = hook().build(tmp_path / PATH.name)
    assert problem
    assert "\n" not in problem
    assert not list(tmp_path.iterdir())
