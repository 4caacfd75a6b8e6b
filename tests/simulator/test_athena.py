"""Athena: tables over what flow logs have put into buckets, and SQL that is really run."""

from __future__ import annotations

import gzip
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator import log_files
from exporter.simulator.athena_engine import run
from exporter.simulator.athena_tables import StatementError, create
from exporter.simulator.faults import Fault
from exporter.simulator.server import Simulator
from exporter.simulator.state import ACCOUNT, REGION, Where, World
from exporter.simulator.world import RICH_FORMAT, ZONES, Builder
from tests.simulator.conftest import Client, clients_of

TEXT, PARQUET, HIVE = "query-text", "query-parquet", "query-hive"
# 2023-11-14, 15 and 16, at 22:15 UTC.
DAYS = [1_700_000_100 + 86_400 * i for i in range(3)]
COLUMNS = """
  `version` int, `account_id` string, `interface_id` string, `srcaddr` string, `dstaddr` string,
  `srcport` int, `dstport` int, `protocol` bigint, `packets` bigint, `bytes` bigint,
  `start` bigint, `end` bigint, `action` string, `log_status` string
"""
PROJECTION = """
  'projection.enabled'='true',
  'projection.account.type'='enum', 'projection.account.values'='111122223333,222233334444',
  'projection.region.type'='enum', 'projection.region.values'='eu-west-1',
  'projection.day.type'='date', 'projection.day.format'='yyyy/MM/dd',
  'projection.day.range'='2023/11/14,NOW',
  'storage.location.template'='s3://{}/AWSLogs/${{account}}/vpcflowlogs/${{region}}/${{day}}'
"""
TABLES = [
    "CREATE DATABASE IF NOT EXISTS flow",
    f"""CREATE EXTERNAL TABLE IF NOT EXISTS flow.text ({COLUMNS})
    PARTITIONED BY (`account` string, `region` string, `day` string)
    ROW FORMAT DELIMITED FIELDS TERMINATED BY ' '
    LOCATION 's3://{TEXT}/AWSLogs/'
    TBLPROPERTIES ("skip.header.line.count"="1", {PROJECTION.format(TEXT)})""",
    # Without the types of INT32 that Parquet has; and a column that the files lack.
    f"""CREATE EXTERNAL TABLE IF NOT EXISTS `flow`.`parquet` (
      interface_id string, bytes bigint, tcp_flags int, srcport int, `end` bigint, az_id string)
    PARTITIONED BY (account string, region string, day string)
    STORED AS PARQUET
    LOCATION 's3://{PARQUET}/AWSLogs/'
    TBLPROPERTIES ({PROJECTION.format(PARQUET)});""",
    f"""CREATE EXTERNAL TABLE flow.wrong (bytes int) STORED AS PARQUET
    LOCATION 's3://{PARQUET}/AWSLogs/'""",
    f"""CREATE EXTERNAL TABLE flow.hive ({COLUMNS})
    PARTITIONED BY (year string, month int, day int)
    ROW FORMAT DELIMITED FIELDS TERMINATED BY ' '
    LOCATION 's3://{HIVE}/AWSLogs/' TBLPROPERTIES ('skip.header.line.count'='1')""",
]


def lines(day: int) -> list[str]:
    found = [
        f"2 {ACCOUNT} eni-{i % 2} 10.0.0.{i} 10.0.9.9 4000{i} 443 6 {i + 1} {100 * (i + 1)} "
        f"{day} {day + 60} {'REJECT' if i % 4 == 3 else 'ACCEPT'} OK"
        for i in range(8)
    ]
    return [*found, f"2 {ACCOUNT} eni-9 - - - - - - - {day} {day + 60} - NODATA"]


class Running:
    """A simulator with files of three days in each bucket."""

    def __init__(self) -> None:
        world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT})
        build = Builder(world, 1)
        build.zones(*ZONES)
        vpc = build.vpc("10.1.0.0/16", "queried")
        for options in (
            {"bucket": TEXT},
            {"bucket": PARQUET, "parquet": True, "log_format": RICH_FORMAT},
            {"bucket": HIVE, "hive": True, "per_hour": True},
        ):
            build.flow_log(vpc, **options)
        self.simulator = Simulator(world)
        self.sizes: dict[tuple[str, int], int] = {}
        for flow_log in world.table("FlowLogs"):
            more = "" if flow_log["LogFormat"] == DEFAULT else " vpc-1 subnet-1 2 IPv4 - - ingress"
            for day in DAYS:
                content = log_files.content(flow_log, [line + more for line in lines(day)])
                key = log_files.key(flow_log, Where(ACCOUNT, REGION), day, "0123abcd")
                bucket, _ = log_files.bucket_of(flow_log)
                self.simulator.clock.deliveries.buckets.put(bucket, key, content, time.time())
                self.sizes[bucket, day] = len(content)
        self.simulator.start(clock=False)
        self.client: Client = clients_of(self.simulator)
        self.athena = self.client("athena")
        for statement in TABLES:
            assert self.wait(self.start(statement))["Status"]["State"] == "SUCCEEDED"

    def start(self, sql: str, **more: Any) -> str:
        output = {"OutputLocation": "s3://results/"}
        query_id: str = self.athena.start_query_execution(
            **{"QueryString": sql, "ResultConfiguration": output, **more}
        )["QueryExecutionId"]
        return query_id

    def wait(self, query_id: str) -> Any:
        """Return the execution once it has ended; it was queued and running before."""
        seen: list[str] = []
        while True:
            found = self.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            state = found["Status"]["State"]
            if state not in ("QUEUED", "RUNNING"):
                assert list(dict.fromkeys(seen)) == ["QUEUED", "RUNNING"]
                return found
            seen.append(state)
            time.sleep(0.01)

    def ask(self, sql: str) -> tuple[list[list[str | None]], int]:
        """Return the rows without the header, and how many bytes were scanned."""
        query_id = self.start(sql)
        found = self.wait(query_id)
        assert found["Status"]["State"] == "SUCCEEDED", found["Status"]
        answer = self.athena.get_query_results(QueryExecutionId=query_id)
        rows = [[d.get("VarCharValue") for d in row["Data"]] for row in answer["ResultSet"]["Rows"]]
        assert rows[0] == [
            c["Name"] for c in answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        ]
        return rows[1:], found["Statistics"]["DataScannedInBytes"]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.simulator.stop()


def test_text(running: Running) -> None:
    """Lines are columns by their position; what is no number is null; partitions are columns."""
    rows, scanned = running.ask(
        'SELECT interface_id, action, count(*) AS n, sum(bytes) AS size, max("end"), '
        "count_if(bitwise_and(packets, 1) = 1) FROM flow.text "
        "WHERE account = '111122223333' AND region = 'eu-west-1' AND day = '2023/11/15' "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )
    end = str(DAYS[1] + 60)
    assert rows == [
        ["eni-0", "ACCEPT", "4", "1600", end, "4"],
        ["eni-1", "ACCEPT", "2", "800", end, "0"],
        ["eni-1", "REJECT", "2", "1200", end, "0"],
        ["eni-9", "-", "1", None, end, "0"],
    ]
    assert scanned == running.sizes[TEXT, DAYS[1]]


def test_parquet(running: Running) -> None:
    """Columns of Parquet are found by their name; one that a file lacks is null."""
    rows, scanned = running.ask(
        "SELECT day, sum(bytes) s, count(bytes), max(tcp_flags), count(az_id), "
        'min(from_unixtime("end")) FROM "AwsDataCatalog"."flow"."parquet" '
        "WHERE day BETWEEN '2023/11/14' AND '2023/11/15' AND bytes >= 100 GROUP BY day ORDER BY day"
    )
    assert rows == [
        ["2023/11/14", "3600", "8", "2", "0", "2023-11-14 22:16:00.000 UTC"],
        ["2023/11/15", "3600", "8", "2", "0", "2023-11-15 22:16:00.000 UTC"],
    ]
    assert scanned == running.sizes[PARQUET, DAYS[0]] + running.sizes[PARQUET, DAYS[1]]


def test_what_is_scanned_is_what_partitions_leave(running: Running) -> None:
    """Conditions on partitions save bytes, those on columns and those with OR do not."""
    whole = sum(running.sizes[TEXT, day] for day in DAYS)
    table = "SELECT count(*) FROM flow.text WHERE account IN ('111122223333') AND "
    for condition, n, size in (
        ("day >= '2023/11/16'", 9, running.sizes[TEXT, DAYS[2]]),
        ("day > '2024/01/01'", 0, 0),
        (f"start >= {DAYS[2]}", 9, whole),
        (f"(day = '2023/11/14' OR start >= {DAYS[2]})", 18, whole),
    ):
        assert running.ask(table + condition) == ([[str(n)]], size), condition


def test_projection_knows_its_values_only(running: Running) -> None:
    """An account or a day that the projection does not have has no rows."""
    for found, wanted in (("111122223333,", ""), ("2023/11/14,NOW", "2023/11/16,NOW")):
        name = f"less_{len(found)}"
        statement = TABLES[1].replace("flow.text", f"flow.{name}").replace(found, wanted)
        assert running.wait(running.start(statement))["Status"]["State"] == "SUCCEEDED"
        rows, _ = running.ask(f"SELECT DISTINCT day FROM flow.{name}")
        assert rows == ([["2023/11/16"]] if wanted else [])


def test_registered_partitions(running: Running) -> None:
    """Without projection a table has the partitions that have been added, or repaired."""
    count = "SELECT count(*), min(month), max(day) FROM flow.hive WHERE year = '2023'"
    assert running.ask(count)[0] == [["0", None, None]]
    place = (
        f"s3://{HIVE}/AWSLogs/aws-account-id={ACCOUNT}/aws-service=vpcflowlogs/"
        f"aws-region={REGION}/year=2023/month=11/day=14"
    )
    running.wait(
        running.start(
            "ALTER TABLE flow.hive ADD IF NOT EXISTS "
            f"PARTITION (year='2023', month=11, day=14) LOCATION '{place}'"
        )
    )
    assert running.ask(count)[0] == [["9", "11", "14"]]
    running.wait(running.start("MSCK REPAIR TABLE flow.hive"))
    assert running.ask(count)[0] == [["27", "11", "16"]]


def test_trino(running: Running) -> None:
    """What Trino has in its own way is as in Trino."""
    rows, _ = running.ask(
        "SELECT 7 / 2, 'a' || 'b', try_cast('-' AS bigint), coalesce(NULL, 5), true, "
        "CAST(sum(bytes) AS varchar), DATE '2023-11-14', 1.5e0 FROM flow.text "
        "WHERE day = '2023/11/14'"
    )
    assert rows == [["3", "ab", None, "5", "true", "3600", "2023-11-14", "1.5"]]


def test_pages(running: Running) -> None:
    """A page has at most 1,000 rows, the header among those of the first."""
    query_id = running.start("SELECT range AS i FROM range(2500)")
    running.wait(query_id)
    pages = list(
        running.athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
    )
    assert [len(p["ResultSet"]["Rows"]) for p in pages] == [1000, 1000, 501]
    cells = [r["Data"][0]["VarCharValue"] for p in pages for r in p["ResultSet"]["Rows"]]
    assert cells == ["i", *map(str, range(2500))]
    kinds = pages[0]["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [k["Type"] for k in kinds] == ["bigint"]
    with pytest.raises(ClientError, match="InvalidRequestException"):
        running.athena.get_query_results(QueryExecutionId=query_id, MaxResults=1001)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELEC 1", "mismatched input"),
        ("SELECT nothing FROM flow.text", "SYNTAX_ERROR"),
        ("SELECT 1 FROM flow.none", "SYNTAX_ERROR"),
        ("SELECT sum(bytes) FROM flow.wrong", "HIVE_BAD_DATA.*bytes"),
        ("SELECT * FROM read_csv('/etc/hostname')", "SYNTAX_ERROR"),
        (TABLES[3], "AlreadyExistsException"),
        ("CREATE EXTERNAL TABLE none.t (a int) LOCATION 's3://b/'", "Database does not exist"),
        ("CREATE EXTERNAL TABLE flow.t (a int)", "No location"),
        ("CREATE EXTERNAL TABLE flow.t (a what) LOCATION 's3://b/'", "no column"),
        ("CREATE DATABASE flow", "already exists"),
        ("DROP TABLE flow.none", "not found"),
        ("MSCK REPAIR TABLE flow.none", "not found"),
    ],
)
def test_failures(running: Running, sql: str, reason: str) -> None:
    """A query that cannot be run fails, says why, and has no results."""
    query_id = running.start(sql)
    status = running.wait(query_id)["Status"]
    assert status["State"] == "FAILED"
    assert re.search(reason, status["StateChangeReason"])
    with pytest.raises(ClientError, match="did not finish successfully"):
        running.athena.get_query_results(QueryExecutionId=query_id)


def test_missing_bucket(running: Running) -> None:
    """A table over a bucket that is not there can be made, not read."""
    for statement in (
        "CREATE EXTERNAL TABLE flow.lost (a int) LOCATION 's3://query-lost/'",
        "DROP TABLE IF EXISTS flow.never",
    ):
        assert running.wait(running.start(statement))["Status"]["State"] == "SUCCEEDED"
    status = running.wait(running.start("SELECT * FROM flow.lost"))["Status"]
    assert "does not exist" in status["StateChangeReason"]


def test_the_database_of_a_query(running: Running) -> None:
    """A table's name alone is of the database that the query is run in."""
    query_id = running.start(
        "SELECT count(*) FROM text", QueryExecutionContext={"Database": "flow"}
    )
    assert running.wait(query_id)["Status"]["State"] == "SUCCEEDED"
    query_id = running.start("SELECT 1", QueryExecutionContext={"Database": "none"})
    assert "SCHEMA_NOT_FOUND" in running.wait(query_id)["Status"]["StateChangeReason"]


def test_stop_and_not_yet(running: Running) -> None:
    """Results are there when the query has ended; one that is stopped has none."""
    query_id = running.start("SELECT 1")
    with pytest.raises(ClientError, match="not yet finished"):
        running.athena.get_query_results(QueryExecutionId=query_id)
    running.athena.stop_query_execution(QueryExecutionId=query_id)
    found = running.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
    assert found["Status"]["State"] == "CANCELLED"
    with pytest.raises(ClientError, match="was not found"):
        running.athena.get_query_execution(QueryExecutionId="0" * 36)


def test_starts(running: Running) -> None:
    """A query needs a place for its results; the same token starts one query."""
    with pytest.raises(ClientError, match="No output location"):
        running.athena.start_query_execution(QueryString="SELECT 1")
    assert running.athena.start_query_execution(QueryString="SELECT 1", WorkGroup="exporter")
    token = "0123456789abcdef0123456789abcdef"
    first, again = (running.start("SELECT 1", ClientRequestToken=token) for _ in range(2))
    assert first == again
    running.simulator.faults.faults = [Fault("throttled", "athena", "StartQueryExecution", times=1)]
    with pytest.raises(ClientError, match="ThrottlingException"):
        running.start("SELECT 1")


def test_the_delivered_files_can_be_asked(running: Running) -> None:
    """What the text bucket has is what Athena counts."""
    (key,) = [
        o["Key"]
        for o in running.client("s3").list_objects_v2(Bucket=TEXT)["Contents"]
        if "/2023/11/14/" in o["Key"]
    ]
    body = running.client("s3").get_object(Bucket=TEXT, Key=key)["Body"].read()
    count = len(gzip.decompress(body).splitlines()) - 1
    assert running.ask("SELECT count(*) FROM flow.text WHERE day = '2023/11/14'")[0] == [
        [str(count)]
    ]


def test_without_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks without DuckDB is told what to install."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(StatementError, match="pip install"):
        run("SELECT 1", "default", {}, lambda *_: [], lambda *_: None)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("${account}", "fixed"),
        ("${account}", "${other}"),
        ("'projection.day.type'='date', ", ""),
    ],
)
def test_templates_that_do_not_fit(found: str, wanted: str) -> None:
    """A template has every partition column, and each has a type."""
    _, table, _ = create(TABLES[1].replace(found, wanted), "default")
    with pytest.raises(StatementError):
        table.files([f"AWSLogs/{ACCOUNT}/vpcflowlogs/eu-west-1/2023/11/14/a.log.gz"])
