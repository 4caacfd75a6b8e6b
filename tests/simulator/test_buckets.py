"""Flow logs in buckets: keys and content as AWS writes them, and what queues are told."""

from __future__ import annotations

import gzip
import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import polars as pl
import pytest

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator import buckets
from exporter.simulator.server import Simulator
from exporter.simulator.state import ACCOUNT, REGION, Queue, Row, Traffic, World
from exporter.simulator.world import RICH_FORMAT, ZONES, Builder
from tests.harness import simulator
from tests.simulator.conftest import Client, clients_of

OTHER = "222233334444"
# A slot that is over, and the windows that end in the one before and in this one.
SLOT = int(time.time()) // 300 * 300 - 300
WINDOWS = [(SLOT + 60 * i, SLOT + 60 * i + 60) for i in range(-3, 1)]
BUCKETS: dict[str, Row] = {
    "text": {"bucket": "logs-text", "prefix": "of/vpcs"},
    "parquet": {"bucket": "logs-parquet", "parquet": True, "log_format": RICH_FORMAT},
    "hive": {"bucket": "logs-hive", "hive": True, "per_hour": True},
    "hourly": {"bucket": "logs-text", "per_hour": True},
}
QUEUES = [
    Queue("plain", "logs-hive"),
    Queue("topic", "logs-hive", "sns"),
    Queue("bus", "logs-hive", "eventbridge"),
    Queue("twice", "logs-hive", "plain", 1.0),
]


def build_world() -> tuple[World, dict[str, str]]:
    """Return a VPC for each way of delivery, and their flow logs by it."""
    world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT})
    build = Builder(world, 1)
    build.zones(*ZONES)
    flow_logs = {}
    for i, (name, options) in enumerate(BUCKETS.items()):
        vpc = build.vpc(f"10.{i + 1}.0.0/16", name)
        endpoint = build.endpoint(vpc, name, f"com.amazonaws.{REGION}.sqs")
        build.client(vpc, name="silent")
        world.traffic.append(Traffic(endpoint, build.client(vpc, name=name), connections=3))
        flow_logs[name] = build.flow_log(vpc, **options)
    for queue in QUEUES:
        build.queue(queue.name, queue.bucket, queue.envelope, queue.duplicates)
    return world, flow_logs


class Running:
    """A simulator whose windows have been delivered, at two times."""

    def __init__(self) -> None:
        world, self.flow_logs = build_world()
        self.simulator = Simulator(world)
        self.simulator.start(clock=False)
        self.client: Client = clients_of(self.simulator)
        deliveries = self.simulator.clock.deliveries
        self.lines: set[str] = set()
        # The clock itself must not deliver between these.
        with deliveries.lock:
            for window in WINDOWS:
                self.simulator.clock.make(*window)
                self.lines |= {d.line for d in deliveries.pending}
                deliveries.deliver(window[1] + 5)
                deliveries.deliver(window[1] + 10)

    def keys(self, name: str) -> list[str]:
        """Return the keys of a flow log's files."""
        pages = self.client("s3").get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=BUCKETS[name]["bucket"], PaginationConfig={"PageSize": 3})
        found = [o["Key"] for page in listed for o in page["Contents"]]
        assert found == sorted(set(found))
        return [key for key in found if self.flow_logs[name] in key]

    def read(self, name: str, key: str) -> bytes:
        answer = self.client("s3").get_object(Bucket=BUCKETS[name]["bucket"], Key=key)
        body: bytes = answer["Body"].read()
        return body

    def messages(self, queue: str) -> list[Row]:
        """Take everything out of a queue and return the bodies."""
        url = next(u for u in self.simulator.queues() if u.endswith(f"/{queue}"))
        sqs = self.client("sqs")
        found: list[Row] = []
        while True:
            got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not got:
                return found
            for message in got:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.simulator.stop()


def expected_key(name: str, flow_log: str, slot: int) -> str:
    """Return a pattern for the keys of a slot."""
    at = time.gmtime(slot)
    day, hour = time.strftime("%Y/%m/%d", at), time.strftime("%H", at)
    folder = {
        "text": f"of/vpcs/AWSLogs/111122223333/vpcflowlogs/eu-west-1/{day}/",
        "parquet": f"AWSLogs/111122223333/vpcflowlogs/eu-west-1/{day}/",
        "hourly": f"AWSLogs/111122223333/vpcflowlogs/eu-west-1/{day}/{hour}/",
        "hive": "AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=eu-west-1/"
        + time.strftime("year=%Y/month=%m/day=%d/hour=%H/", at),
    }[name]
    stamp = time.strftime("%Y%m%dT%H%MZ", at)
    ending = r"\.log\.parquet" if name == "parquet" else r"\.log\.gz"
    return f"{folder}111122223333_vpcflowlogs_eu-west-1_{flow_log}_{stamp}_[0-9a-f]{{8}}{ending}"


@pytest.mark.parametrize("name", BUCKETS)
def test_keys(running: Running, name: str) -> None:
    """A key has its flow log's layout; a slot of five minutes has several files."""
    keys = running.keys(name)
    patterns = [expected_key(name, running.flow_logs[name], s) for s in (SLOT - 300, SLOT)]
    found = [[key for key in keys if re.fullmatch(pattern, key)] for pattern in patterns]
    assert sum(len(of_slot) for of_slot in found) == len(keys)
    assert all(len(of_slot) > 1 for of_slot in found), keys


@pytest.mark.parametrize("name", ["text", "hive", "hourly"])
def test_text(running: Running, name: str) -> None:
    """A text file begins with its fields' names; its records end within its slot."""
    total = 0
    for key in running.keys(name):
        header, *lines = gzip.decompress(running.read(name, key)).decode().splitlines()
        assert header == DEFAULT.replace("${", "").replace("}", "")
        assert set(lines) <= running.lines
        stamp = key.split("_")[-2]
        begin = datetime.strptime(stamp, "%Y%m%dT%H%MZ").replace(tzinfo=UTC).timestamp()
        rows = [dict(zip(header.split(), line.split(), strict=True)) for line in lines]
        assert all(begin <= int(r["end"]) < begin + 300 for r in rows)
        total += len(rows)
        assert {r["log-status"] for r in rows} <= {"OK", "NODATA"}
    endpoint = running.simulator.clock.truth()["totals"]
    assert total > sum(len(by_action) for by_action in endpoint.values())


def test_parquet(running: Running) -> None:
    """Parquet has AWS's column names and types; what text writes as - in a number is null."""
    frames = [
        pl.read_parquet(io.BytesIO(running.read("parquet", key))) for key in running.keys("parquet")
    ]
    frame = pl.concat(frames)
    names = RICH_FORMAT.replace("${", "").replace("}", "").replace("-", "_").split()
    kinds = {
        pl.Int32: {"version", "srcport", "dstport", "protocol", "tcp_flags"},
        pl.Int64: {"packets", "bytes", "start", "end"},
    }
    expected = {n: next((k for k, s in kinds.items() if n in s), pl.String) for n in names}
    assert dict(frame.schema) == expected
    nothing = frame.filter(pl.col("log_status") == "NODATA")
    assert nothing["bytes"].null_count() == nothing.height > 0
    assert set(nothing["action"]) == {"-"}
    assert nothing["start"].null_count() == 0
    assert frame.filter(pl.col("log_status") == "OK")["bytes"].null_count() == 0


def test_the_truth_is_what_the_files_have(running: Running) -> None:
    """Totals at the endpoints' interfaces, and records at their clients', for buckets too."""
    truth = running.simulator.clock.truth()
    world = running.simulator.world
    assert truth["pending"] == 0
    for name in ("text", "hive", "hourly"):
        (endpoint,) = [e for e in world.table("VpcEndpoints") if e["Tags"][0]["Value"] == name]
        interfaces = [
            world.row("NetworkInterfaces", "NetworkInterfaceId", i)
            for i in endpoint["NetworkInterfaceIds"]
        ]
        addresses = {i["PrivateIpAddress"] for i in interfaces}
        own, at_clients = [0, 0, 0], 0
        for key in running.keys(name):
            for line in gzip.decompress(running.read(name, key)).decode().splitlines()[1:]:
                fields = line.split()
                if fields[-1] != "OK":
                    continue
                if fields[2] in endpoint["NetworkInterfaceIds"]:
                    own = [own[0] + 1, own[1] + int(fields[9]), own[2] + int(fields[8])]
                elif addresses & {fields[3], fields[4]}:
                    at_clients += 1
        assert truth["totals"][endpoint["VpcEndpointId"]] == {"ACCEPT": own}
        assert truth["client_totals"][endpoint["VpcEndpointId"]] == {"ACCEPT": at_clients}
        assert own[0] == at_clients == 24


@pytest.mark.parametrize("name", BUCKETS)
def test_describe_flow_logs(running: Running, name: str) -> None:
    """EC2 shows where a flow log goes as it does for buckets: no log group, no role."""
    ec2 = running.client("ec2")
    (row,) = ec2.describe_flow_logs(FlowLogIds=[running.flow_logs[name]])["FlowLogs"]
    options = BUCKETS[name]
    prefix = f"/{options['prefix']}/" if "prefix" in options else ""
    assert row["LogDestinationType"] == "s3"
    assert row["LogDestination"] == f"arn:aws:s3:::{options['bucket']}{prefix}"
    assert row["DestinationOptions"] == {
        "FileFormat": "parquet" if options.get("parquet") else "plain-text",
        "HiveCompatiblePartitions": options.get("hive", False),
        "PerHourPartition": options.get("per_hour", False),
    }
    assert not {"LogGroupName", "DeliverLogsPermissionArn"} & set(row)


def test_queues(running: Running) -> None:
    """Each envelope tells of each file once, a queue of duplicates twice; and of the test event."""
    files = Counter(running.keys("hive"))
    assert len(files) > 1
    plain = running.messages("plain")
    assert Counter(m.get("Event") for m in plain) == {"s3:TestEvent": 1, None: len(files)}
    records = [m["Records"][0] for m in plain if "Records" in m]
    assert {r["eventName"] for r in records} == {"ObjectCreated:Put"}
    assert {r["awsRegion"] for r in records} == {REGION}
    assert {r["s3"]["bucket"]["name"] for r in records} == {"logs-hive"}
    assert all("year%3D20" in r["s3"]["object"]["key"] for r in records)
    assert Counter(unquote_plus(r["s3"]["object"]["key"]) for r in records) == files
    head = running.client("s3").head_object(
        Bucket="logs-hive", Key=unquote_plus(records[0]["s3"]["object"]["key"])
    )
    assert head["ETag"].strip('"') == records[0]["s3"]["object"]["eTag"]
    assert head["ContentLength"] == records[0]["s3"]["object"]["size"]
    topic = running.messages("topic")
    assert {m["Type"] for m in topic} == {"Notification"}
    inner: list[Any] = [json.loads(m["Message"]) for m in topic]
    assert Counter(bool(m.get("Records")) for m in inner) == {True: len(files), False: 1}
    bus = running.messages("bus")
    assert {(m["source"], m["detail-type"]) for m in bus} == {("aws.s3", "Object Created")}
    assert Counter(m["detail"]["object"]["key"] for m in bus) == files
    twice = [m["Records"][0]["s3"]["object"]["key"] for m in running.messages("twice")[1:]]
    assert Counter(unquote_plus(key) for key in twice) == dict.fromkeys(files, 2)


def test_a_queue_is_its_owners(running: Running) -> None:
    """Who may use a queue of another account reaches it by its URL."""
    (url,) = [u for u in running.simulator.queues() if u.endswith("/plain")]
    assert url == f"{running.simulator.url}/{ACCOUNT}/plain"
    sqs = running.client("sqs", OTHER)
    names = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    assert names["QueueArn"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:plain"


def test_the_process_tells_its_queues() -> None:
    """Who starts the organisation's simulator is told where its queues are."""
    with simulator("--world", "organisation", "--no-clock") as aws:
        url = aws.about["url"]
        assert aws.about["queues"] == [f"{url}/{OTHER}/flow-log-files"]
        assert url.startswith("http://127.0.0.1:")


def test_old_files_go() -> None:
    """A bucket keeps files for a while; one that is gone is not written to, nor counted."""
    world = World(buckets={(ACCOUNT, REGION): ["logs-old"]})
    buckets.create(world)
    kept = buckets.Buckets()
    for i, now in enumerate((0.0, 10.0, buckets.RETENTION + 5)):
        assert kept.put("logs-old", f"a/{i}", b"x", now)
    assert kept.keys("logs-old", "a/") == ["a/1", "a/2"]
    assert kept.read("logs-old", "a/1") == b"x"
    assert kept.read("logs-old", "a/0") is None
    buckets.drop(world)
    assert kept.put("logs-old", "a/3", b"x", 0) is None
    assert kept.keys("logs-old", "") is None
