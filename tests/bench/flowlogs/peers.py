"""The programs ours is measured against, each with the fastest settings found for it."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
from flowlogs_reader import FlowRecord
from isal import igzip_lib

from tests.bench.flowlogs.data import HEADER
from tests.bench.flowlogs.estate import Answer, Count, Interface

CORES = len(os.sched_getaffinity(0))

KIB = 1024
CHUNKS = [64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, 1024 * KIB]
# More at once and the allocator maps and unmaps fresh pages for each piece: half the speed.
MOST_OUT = 1024 * KIB


def decompress(path: Path, chunk: int) -> int:
    """Return the size of the file's text in bytes, read in chunks of that many bytes."""
    unpack = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    size = 0
    with path.open("rb", buffering=0) as file:
        while not unpack.eof:
            more = file.read(chunk) if unpack.needs_input else b""
            size += len(unpack.decompress(more, MOST_OUT))
    return size


def igzip(files: list[Path], chunk: int) -> int:
    """Return the size of all text in bytes: one file per thread, a thread per core."""
    with ThreadPoolExecutor(CORES) as pool:
        return sum(pool.map(lambda path: decompress(path, chunk), files))


def fastest_chunk(files: list[Path], times: int = 3) -> int:
    """Return the size of chunk in bytes with which igzip was the fastest here and now."""
    best: dict[int, float] = {}
    for _ in range(times):
        for chunk in CHUNKS:
            began = time.perf_counter()
            igzip(files, chunk)
            best[chunk] = min(best.get(chunk, 1e9), time.perf_counter() - began)
    return min(best, key=lambda chunk: best[chunk])


# Rows that do not count leave before they cost anything; the join comes before the grouping,
# because there are fewer endpoints than interfaces. %d of an old mawk ends at 2^31.
AWK = """
NR == FNR { endpoint[$1] = $2; next }
$14 == "NODATA" { empty++; next }
$3 in endpoint {
    key = endpoint[$3] " " $13
    records[key]++
    bytes[key] += $10
    packets[key] += $9
}
END {
    for (key in records) printf "%s %.0f %.0f %.0f\\n", key, records[key], bytes[key], packets[key]
    print empty + 0
}
"""


def write_owners(path: Path, interfaces: list[Interface]) -> None:
    """Write the file from which awk learns which interface belongs to which endpoint."""
    path.write_text("".join(f"{i.id} {i.endpoint}\n" for i in interfaces if i.endpoint))


def missing_tools() -> list[str]:
    """Return which programs of zcat | awk are not installed."""
    return [tool for tool in ("zcat", "awk") if shutil.which(tool) is None]


def awk_version() -> str:
    """Return what this machine's awk calls itself."""
    said = subprocess.run(
        ["awk", "-W", "version"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return next(iter((said.stdout or said.stderr).splitlines()), "of unknown version").strip()


def zcat_awk(files: list[Path], owners: Path) -> Answer:
    """Return the answer of one pipeline over all files."""
    plain = os.environ | {"LC_ALL": "C"}
    with subprocess.Popen(["zcat", *map(str, files)], stdout=subprocess.PIPE) as zcat:
        awk = subprocess.run(
            ["awk", AWK, str(owners), "-"],
            stdin=zcat.stdout, stdout=subprocess.PIPE, env=plain, text=True, check=True,
        )  # fmt: skip
    *rows, empty = awk.stdout.splitlines()
    counts: dict[tuple[str, str], Count] = {}
    for row in rows:
        endpoint, action, records, size, packets = row.split()
        counts[endpoint, action] = (int(records), int(size), int(packets))
    return Answer(counts, int(empty))


# No sniffing, and only what is summed is read as a number: columns that the question does not
# need are never converted. Joined before it groups: grouping by interface first is slower, and so
# is more threads than cores. strict_mode, parallel and buffer_size make no difference.
TYPES = dict.fromkeys(HEADER.replace("-", "_").split(), "VARCHAR")
TYPES |= {"packets": "BIGINT", "bytes": "BIGINT"}
FROM_TEXT = (
    f"read_csv(?, columns = {TYPES}, auto_detect = false, header = true, delim = ' ', "
    "quote = '', escape = '', nullstr = '-')"
)
FROM_PARQUET = "read_parquet(?)"
QUESTION = """
    SELECT endpoint, action, log_status = 'NODATA' AS no_data,
           count(*), sum(bytes)::BIGINT, sum(packets)::BIGINT
    FROM {source} LEFT JOIN owners USING (interface_id)
    WHERE endpoint IS NOT NULL OR log_status = 'NODATA'
    GROUP BY ALL
"""


def duckdb_with(interfaces: list[Interface]) -> duckdb.DuckDBPyConnection:
    """Return a database in memory, on all cores, that knows who owns which interface."""
    database = duckdb.connect()
    database.execute("CREATE TABLE owners (interface_id VARCHAR, endpoint VARCHAR)")
    rows = [[i.id, i.endpoint] for i in interfaces if i.endpoint]
    database.executemany("INSERT INTO owners VALUES (?, ?)", rows)
    return database


def ask_duckdb(database: duckdb.DuckDBPyConnection, source: str, files: list[Path]) -> Answer:
    """Return the answer of DuckDB; source is FROM_TEXT or FROM_PARQUET."""
    names = [str(path) for path in files]
    rows = database.execute(QUESTION.format(source=source), [names]).fetchall()
    counts = {(e, a): (n, size, p) for e, a, empty, n, size, p in rows if not empty}
    return Answer(counts, sum(n for _, _, empty, n, _, _ in rows if empty))


def flowlogs_reader(files: Iterable[Path], interfaces: list[Interface]) -> Answer:
    """Return the answer counted in Python over the records of flowlogs-reader.

    The lines go through csv.DictReader, as its own reader of S3 objects has them.
    """
    owner = {i.id: i.endpoint for i in interfaces if i.endpoint}
    records: Counter[tuple[str, str]] = Counter()
    size: Counter[tuple[str, str]] = Counter()
    packets: Counter[tuple[str, str]] = Counter()
    no_data = 0
    for path in files:
        with gzip.open(path, "rt") as file:
            rows = csv.DictReader(file, delimiter=" ")
            rows.fieldnames = [name.replace("-", "_") for name in rows.fieldnames or ()]
            for record in map(FlowRecord, rows):
                if record.log_status == "NODATA":
                    no_data += 1
                elif record.interface_id in owner:
                    key = owner[record.interface_id], record.action
                    records[key] += 1
                    size[key] += record.bytes
                    packets[key] += record.packets
    return Answer({key: (n, size[key], packets[key]) for key, n in records.items()}, no_data)
