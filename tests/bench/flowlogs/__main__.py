"""Measure the reading of flow logs: text, Parquet, CloudWatch pages, memory.

Exits 1 when an answer is wrong, and 0 when a threshold is missed: it is a measurement.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from functools import partial
from importlib.metadata import version

from exporter import log
from exporter.runtime import tune
from tests.bench.flowlogs import memory, peers, report
from tests.bench.flowlogs.contenders import Contender, WrongAnswerError, rates, timed
from tests.bench.flowlogs.data import BUILD, DIRECTORY, FILES, Data, current, load
from tests.bench.flowlogs.ours import ours_cloudwatch, ours_parquet, ours_text
from tests.bench.flowlogs.pages import pages
from tests.bench.flowlogs.report import Result

OURS, IGZIP, READER, AWK, DUCKDB = "ours", "igzip alone", "flowlogs-reader", "zcat | awk", "DuckDB"
LEAST = {IGZIP: 0.4, READER: 30.0, AWK: 2.0, DUCKDB: 1.2}
LEAST_PARQUET = {DUCKDB: 1.5}
MOST_MEGABYTES = 300.0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def text(data: Data, runs: int, with_ours: bool) -> Result:
    """Text files, all contenders in turn; flowlogs-reader once, on the first file."""
    truth, chunk = data.truth, peers.fastest_chunk(data.text)
    say(f"igzip decompresses, no more, in {peers.CORES} threads, chunks of {chunk // 1024} KiB.")
    owners = DIRECTORY / "owners.txt"
    peers.write_owners(owners, data.interfaces)
    database = peers.duckdb_with(data.interfaces)
    several = [
        Contender(IGZIP, truth.records, partial(peers.igzip, data.text, chunk), truth.text_bytes),
        Contender(
            DUCKDB,
            truth.records,
            partial(peers.ask_duckdb, database, peers.FROM_TEXT, data.text),
            truth.answer,
        ),
    ]
    if missing := peers.missing_tools():
        say(f"Missing: {' '.join(missing)}. {AWK} is not measured (Debian: gzip, mawk).")
    else:
        say(f"awk is {peers.awk_version()}.")
        run = partial(peers.zcat_awk, data.text, owners)
        several.append(Contender(AWK, truth.records, run, truth.answer))
    if with_ours:
        run = partial(ours_text, data.text, data.interfaces)
        several.insert(0, Contender(OURS, truth.records, run, truth.answer))
    found = rates(several, runs)

    first = data.truths[0]
    run = partial(peers.flowlogs_reader, data.text[:1], data.interfaces)
    found[READER] = first.records / timed(Contender(READER, first.records, run, first.answer))
    say(f"{READER} ran once, on one of {FILES} files: its rate there stands for all.")
    return Result("text.gz", "records/s", found.pop(OURS, None), found, LEAST)


def parquet(data: Data, runs: int, with_ours: bool) -> Result:
    """Parquet files, in turn."""
    truth, database = data.truth, peers.duckdb_with(data.interfaces)
    run = partial(peers.ask_duckdb, database, peers.FROM_PARQUET, data.parquet)
    several = [Contender(DUCKDB, truth.records, run, truth.answer)]
    if with_ours:
        run = partial(ours_parquet, data.parquet, data.interfaces)
        several.insert(0, Contender(OURS, truth.records, run, truth.answer))
    found = rates(several, runs)
    return Result("Parquet", "records/s", found.pop(OURS, None), found, LEAST_PARQUET)


def cloudwatch(data: Data, runs: int) -> Result:
    """Answers of FilterLogEvents, built before the clock starts, of the first file's records."""
    first, answers = data.truths[0], pages(data.text[0])
    run = partial(ours_cloudwatch, answers, data.interfaces)
    found = rates([Contender(OURS, first.records, run, first.answer)], runs)
    return Result("CloudWatch pages", "records/s", found[OURS], {})


def grown(what: str, job: str, with_ours: bool) -> Result:
    """Growth of resident memory over idle."""
    ours = memory.in_a_fresh_process(f"ours {job}") if with_ours else None
    theirs = {DUCKDB: memory.in_a_fresh_process(f"duckdb {job}")}
    return Result(f"memory growth, {what}", "MB", ours, theirs, most=MOST_MEGABYTES)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flowlogs", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="medians of so many runs")
    parser.add_argument("--without-ours", action="store_true", help="measure the others only")
    options = parser.parse_args(arguments)
    with_ours = not options.without_ours
    log.configure("warning", "logfmt")
    tune()

    if not current(DIRECTORY):
        say(f"Writing the files to {DIRECTORY}, once.")
    data = load()
    programs = " ".join(f"{name} {version(name)}" for name in ("isal", "duckdb", "flowlogs-reader"))
    say(
        f"{data.truth.records} records in {FILES} files, {peers.CORES} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()} {programs}; "
        f"medians of {options.runs}."
    )
    try:
        results = [text(data, options.runs, with_ours), parquet(data, options.runs, with_ours)]
        if with_ours:
            results.append(cloudwatch(data, options.runs))
    except WrongAnswerError as wrong:
        say(str(wrong))
        return 1
    results.append(grown("text.gz", "text", with_ours))
    results.append(grown("Parquet", "parquet", with_ours))
    report.write(BUILD / "flowlogs.json", results)
    for line in report.table(results):
        say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
