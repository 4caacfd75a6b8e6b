"""The files that are measured: written once into build/bench, anew when their generator changes."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import reduce
from multiprocessing import get_context
from operator import add
from pathlib import Path

import polars as pl

from tests.bench.flowlogs import estate, traffic
from tests.bench.flowlogs.estate import ACCOUNT, REGION, Answer, Interface, Truth

BUILD = Path("build/bench")
DIRECTORY = BUILD / "flowlogs"
SEED = 20260101
FILES = 8
RECORDS_EACH = 250_000
HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
# AWS writes Parquet with gzip inside, and underscores in the names:
# https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
ROW_GROUP = 50_000
SCHEMA: dict[str, type[pl.DataType]] = dict.fromkeys(HEADER.replace("-", "_").split(), pl.String)
SCHEMA |= dict.fromkeys(("version", "srcport", "dstport", "protocol"), pl.Int32)
SCHEMA |= dict.fromkeys(("packets", "bytes", "start", "end"), pl.Int64)


@dataclass(frozen=True, slots=True)
class Data:
    """The same records as text and as Parquet, who owns what, and the truth of each file."""

    text: list[Path]
    parquet: list[Path]
    interfaces: list[Interface]
    truths: list[Truth]

    @property
    def truth(self) -> Truth:
        """Return the truth of all files together."""
        return reduce(add, self.truths)


def name(number: int) -> str:
    """Return a name as AWS gives it to the file of a slot, without its ending."""
    minute = number * traffic.SLOT // 60
    digest = hashlib.sha256(str(number).encode()).hexdigest()[:8]
    return f"{ACCOUNT}_vpcflowlogs_{REGION}_fl-{1:017x}_20260101T00{minute:02}Z_{digest}"


def generator() -> str:
    """Return a fingerprint of everything that decides what is in the files."""
    digest = hashlib.sha256()
    for module in (__file__, estate.__file__, traffic.__file__):
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()


def write(number: int, directory: Path, found: list[Interface], count: int = RECORDS_EACH) -> Truth:
    """Write the file of that number in both formats; return what a plain loop counted in it."""
    owner = {i.id: i.endpoint for i in found}
    lines, rows = [HEADER], []
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    fates = {"counted": 0, "other": 0, "no_data": 0}
    for record in traffic.records(SEED, number, count, found):
        rows.append((2, ACCOUNT, *record))
        lines.append(" ".join(["2", ACCOUNT, *("-" if v is None else str(v) for v in record)]))
        packets, size, action, endpoint = record[6], record[7], record[10], owner[record[0]]
        if action is None or packets is None or size is None:
            fates["no_data"] += 1
        elif endpoint is None:
            fates["other"] += 1
        else:
            fates["counted"] += 1
            total = counts[endpoint, action]
            total[0] += 1
            total[1] += size
            total[2] += packets
    text = ("\n".join(lines) + "\n").encode()
    compressed = gzip.compress(text, compresslevel=6, mtime=0)
    (directory / f"{name(number)}.log.gz").write_bytes(compressed)
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(
        directory / f"{name(number)}.log.parquet", compression="gzip", row_group_size=ROW_GROUP
    )
    answer = Answer({key: (r, b, p) for key, (r, b, p) in counts.items()}, fates["no_data"])
    return Truth(answer, fates, len(text))


def generate(directory: Path) -> None:
    """Write all files, and last the manifest that says they are complete."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    found = estate.interfaces(SEED)
    # Spawned, because polars' threads do not survive a fork.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        several = [pool.submit(write, number, directory, found) for number in range(FILES)]
        truths = [one.result() for one in several]
    estate.write_interfaces(directory / "interfaces.json", found)
    expected = [estate.truth_to_json(truth) for truth in truths]
    (directory / "expected.json").write_text(json.dumps(expected))
    manifest = {"generator": generator(), "seed": SEED, "records": FILES * RECORDS_EACH}
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1))


def current(directory: Path) -> bool:
    """Return whether the files are there and are what the generator would write today."""
    manifest = directory / "manifest.json"
    return manifest.exists() and json.loads(manifest.read_text())["generator"] == generator()


def load(directory: Path = DIRECTORY) -> Data:
    """Return the data, generated first where they are missing or old."""
    if not current(directory):
        generate(directory)
    truths = json.loads((directory / "expected.json").read_text())
    return Data(
        sorted(directory.glob("*.log.gz")),
        sorted(directory.glob("*.log.parquet")),
        estate.read_interfaces(directory / "interfaces.json"),
        [estate.truth_from_json(row) for row in truths],
    )
