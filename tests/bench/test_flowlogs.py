"""What the benchmark of flow logs rests on: its files, its peers' answers, its judgement."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.flowlogs import data, estate, peers, report
from tests.bench.flowlogs.contenders import Contender, WrongAnswerError, rates
from tests.bench.flowlogs.data import Data
from tests.bench.flowlogs.estate import Answer
from tests.bench.flowlogs.pages import pages

RECORDS = 24_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Two small files of the benchmark's own generator."""
    directory = tmp_path_factory.mktemp("flowlogs")
    found = estate.interfaces(data.SEED)
    truths = [data.write(number, directory, found, RECORDS) for number in range(2)]
    text, parquet = sorted(directory.glob("*.log.gz")), sorted(directory.glob("*.log.parquet"))
    return Data(text, parquet, found, truths)


def test_the_files_have_the_stated_shares(files: Data) -> None:
    """A tenth of the lines is at endpoints, one in a hundred NODATA, 4 % of the rest REJECT."""
    truth = files.truth
    assert truth.records == 2 * RECORDS
    assert truth.lines["counted"] / truth.records == pytest.approx(0.10, rel=0.05)
    assert truth.lines["no_data"] / truth.records == pytest.approx(0.01, rel=0.2)
    rejected = sum(n for (_, action), (n, _, _) in truth.answer.counts.items() if action[0] == "R")
    assert rejected / truth.lines["counted"] == pytest.approx(0.04, rel=0.2)


def test_the_truth_survives_its_file(files: Data) -> None:
    """What is expected is read back as it was written."""
    written = json.dumps(estate.truth_to_json(files.truth))
    assert estate.truth_from_json(json.loads(written)) == files.truth


def test_duckdb_answers_alike_from_both_formats(files: Data) -> None:
    """The Parquet files hold the same records as the text, null where the text has a dash."""
    database = peers.duckdb_with(files.interfaces)
    assert peers.ask_duckdb(database, peers.FROM_TEXT, files.text) == files.truth.answer
    assert peers.ask_duckdb(database, peers.FROM_PARQUET, files.parquet) == files.truth.answer


def test_awk_answers_right(files: Data, tmp_path: Path, program: Callable[[str], str]) -> None:
    """The pipeline counts what a plain loop counted."""
    program("zcat")
    program("awk")
    peers.write_owners(tmp_path / "owners", files.interfaces)
    assert peers.zcat_awk(files.text, tmp_path / "owners") == files.truth.answer


@pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")
def test_flowlogs_reader_answers_right(files: Data) -> None:
    """The library's records, counted in Python, give what a plain loop counted."""
    assert peers.flowlogs_reader(files.text, files.interfaces) == files.truth.answer


@pytest.mark.parametrize("chunk", peers.CHUNKS)
def test_igzip_decompresses_everything(files: Data, chunk: int) -> None:
    """Whatever the chunk, every byte of the text comes out."""
    assert peers.igzip(files.text, chunk) == files.truth.text_bytes


def test_pages_hold_each_record_once_in_order_of_time(files: Data) -> None:
    """Pages have at most 10,000 events, identities differ, and only the last has no token."""
    answers = pages(files.text[0])
    events = [event for answer in answers for event in answer["events"]]
    assert [len(answer["events"]) for answer in answers] == [10_000, 10_000, 4_000]
    assert ["nextToken" in answer for answer in answers] == [True, True, False]
    assert len({event["eventId"] for event in events}) == RECORDS
    assert events == sorted(events, key=lambda event: int(event["timestamp"]))


def test_a_wrong_answer_ends_the_run() -> None:
    """The error names the contender, the endpoint and both figures."""
    got = Answer({("vpce-1", "ACCEPT"): (1, 2, 3)}, 0)
    right = Answer({("vpce-1", "ACCEPT"): (1, 2, 4)}, 0)
    with pytest.raises(WrongAnswerError, match=r"X is wrong:\n.*vpce-1.*2, 3\) instead of .*2, 4"):
        rates([Contender("X", 1, lambda: got, right)], runs=1)


@pytest.mark.parametrize(
    ("ours", "words"),
    [(2.0, ["ok", "missed"]), (1.0, ["missed", "missed"]), (9.0, ["ok", "ok"])],
)
def test_each_threshold_is_judged(ours: float, words: list[str]) -> None:
    """A threshold is met by exactly as much as it asks for."""
    least = {"A": 2.0, "B": 3.0}
    result = report.Result("x", "records/s", ours, {"A": 1.0, "B": 3.0}, least)
    assert [line.split()[-1] for line in report.table([result])][2:] == words


def test_what_was_not_measured_is_not_judged() -> None:
    """Without ours there is neither a ratio nor a judgement."""
    result = report.Result("x", "records/s", None, {"A": 1.0}, {"A": 2.0}, most=1.0)
    assert not result.ratio
    assert not [line for line in report.table([result]) if line.endswith(("ok", "missed"))]
