"""Keys of files in S3: what they say, and that a listing finds every file of a slot."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flowlogs.sources.s3 import SLOT, bucket_of, get, listing, object_of, prefixes
from exporter.model import FlowLog, Scope

SCOPE = Scope("111122223333", "eu-west-1")
FLOW_LOG = FlowLog("fl-0a1", "vpc-0a1", "ALL", "s3", "arn:aws:s3:::logs", "", 60, "ACTIVE")
NAME = "111122223333_vpcflowlogs_eu-west-1_fl-0a1_20231114T2215Z_0a1b2c3d.log.gz"
PLAIN = "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2023/11/14/"
HIVE = (
    "AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=eu-west-1/"
    "year=2023/month=11/day=14/"
)


def at(text: str) -> float:
    """Return a moment of UTC in seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


SLOT_AT = at("2023-11-14 22:15")


@pytest.mark.parametrize("prefix", ["", "central/", "a/b c/d+e/", "AWSLogs/", "caf\u00e9/"])
@pytest.mark.parametrize("days", [PLAIN, f"{PLAIN}22/", HIVE, f"{HIVE}hour=22/"])
@pytest.mark.parametrize("ending", [".log.gz", ".log.parquet"])
def test_keys(prefix: str, days: str, ending: str) -> None:
    """Plain and Hive, by the day and the hour, with and without prefix, text and Parquet."""
    found = object_of("logs", prefix + days + NAME.replace(".log.gz", ending))
    assert found
    assert (found.scope, found.flow_log_id, found.stamp) == (SCOPE, "fl-0a1", SLOT_AT)
    assert found.parquet is (ending == ".log.parquet")
    assert (found.etag, found.modified, found.size) == ("", None, None)


@pytest.mark.parametrize(
    "key",
    [
        "",
        PLAIN,
        PLAIN + NAME[:-3],
        PLAIN + NAME + ".tmp",
        PLAIN + NAME.replace(".log.gz", ".csv"),
        PLAIN + NAME.replace("_0a1b2c3d", ""),
        PLAIN + NAME.replace("20231114T2215Z", "20231314T2215Z"),
        PLAIN + NAME.replace("20231114T2215Z", "20231114T2560Z"),
        PLAIN + NAME.replace("20231114T2215Z", "2023-11-14"),
        PLAIN + NAME.replace("fl-0a1", "fl-"),
        PLAIN + NAME.replace("fl-0a1", "fl-0a1\n"),
        PLAIN + NAME.replace("fl-0a1", "../fl-0a1"),
        PLAIN + NAME.replace("111122223333", "1111"),
        PLAIN + NAME.replace("111122223333", "\u0661" * 12),
        PLAIN + NAME.replace("20231114T2215Z", "\u0662\u0660\u0662\u0663" + "1114T2215Z"),
        PLAIN + NAME + "\n",
        "x" + NAME,
        "AWSLogs/111122223333/elasticloadbalancing/eu-west-1/2023/11/14/"
        "111122223333_elasticloadbalancing_eu-west-1_net.a.0a1_20231114T2215Z_0a1b2c3d.log.gz",
        "AWSLogs/111122223333/vpcdnsquerylogs/vpc-0a1/2023/11/14/"
        "vpc-0a1_vpcdnsquerylogs_111122223333_20231114T2215Z_0a1b2c3d.log.gz",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2023/11/14/"
        "111122223333_CloudTrail_eu-west-1_20231114T2215Z_0a1b2c3d.json.gz",
    ],
)
def test_keys_of_others(key: str) -> None:
    """Other services' files, and what only looks like a flow log's, are none."""
    assert object_of("logs", key) is None


def test_the_key_says_whose_file_it_is() -> None:
    """Another account's or Region's file is that one's: whoever does not watch it refuses it."""
    other = object_of("logs", PLAIN + NAME.replace("111122223333", "222233334444"))
    assert other
    assert other.scope == Scope("222233334444", "eu-west-1")
    there = object_of("logs", PLAIN + NAME.replace("eu-west-1", "us-gov-west-1"))
    assert there
    assert there.scope == Scope("111122223333", "us-gov-west-1")


def test_identities() -> None:
    """Bucket and key make the identity, whatever the ETag; its time is the slot's."""
    one, same = object_of("logs", PLAIN + NAME), object_of("logs", PLAIN + NAME)
    other, moved = object_of("log", f"s{PLAIN}{NAME}"), object_of("logs", HIVE + NAME)
    assert one
    assert same
    assert other
    assert moved
    assert one.seen == same._replace(etag="x", modified=1.0).seen
    assert len({one.seen, other.seen, moved.seen}) == 3
    assert one.seen.start == int(SLOT_AT * 1000)


@given(st.text())
def test_no_key_breaks_it(key: str) -> None:
    """Any key is a file or none; its identity can be stored."""
    for full in (key, PLAIN + key, PLAIN + NAME.replace("0a1b2c3d", key), key + "/" + NAME):
        found = object_of("logs", full)
        if found:
            assert len(found.seen.identity) == 16


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("arn:aws:s3:::logs", ("logs", "")),
        ("arn:aws:s3:::logs/", ("logs", "")),
        ("arn:aws:s3:::logs/central", ("logs", "central/")),
        ("arn:aws:s3:::logs/central/flow/", ("logs", "central/flow/")),
        ("arn:aws-us-gov:s3:::my.logs/a", ("my.logs", "a/")),
    ],
)
def test_buckets(destination: str, expected: tuple[str, str]) -> None:
    """The destination names a bucket and perhaps a prefix."""
    assert bucket_of(replace(FLOW_LOG, destination=destination)) == expected


BY_HOUR = replace(FLOW_LOG, per_hour=True)
BY_HIVE = replace(FLOW_LOG, hive=True, destination="arn:aws:s3:::logs/central/")


@pytest.mark.parametrize(
    ("flow_log", "first", "last", "expected"),
    [
        (FLOW_LOG, "2023-11-14 00:00", "2023-11-14 23:59", ["2023/11/14/"]),
        (FLOW_LOG, "2023-11-14 23:59", "2023-11-15 00:00", ["2023/11/14/", "2023/11/15/"]),
        (FLOW_LOG, "2023-11-30 23:00", "2023-12-01 01:00", ["2023/11/30/", "2023/12/01/"]),
        (FLOW_LOG, "2023-12-31 23:59", "2024-01-01 00:01", ["2023/12/31/", "2024/01/01/"]),
        (
            FLOW_LOG,
            "2024-02-28 12:00",
            "2024-03-01 12:00",
            ["2024/02/28/", "2024/02/29/", "2024/03/01/"],
        ),
        (FLOW_LOG, "2023-11-14 12:00", "2023-11-14 11:00", ["2023/11/14/"]),
        (FLOW_LOG, "2023-11-15 00:00", "2023-11-14 11:00", []),
        (BY_HOUR, "2023-11-14 10:00", "2023-11-14 10:59", ["2023/11/14/10/"]),
        (BY_HOUR, "2023-11-14 10:59", "2023-11-14 11:00", ["2023/11/14/10/", "2023/11/14/11/"]),
        (
            BY_HOUR,
            "2023-11-30 22:30",
            "2023-12-01 00:30",
            ["2023/11/30/22/", "2023/11/30/23/", "2023/12/01/00/"],
        ),
        (
            BY_HIVE,
            "2023-11-30 23:59",
            "2023-12-01 00:00",
            ["year=2023/month=11/day=30/", "year=2023/month=12/day=01/"],
        ),
        (
            replace(BY_HIVE, per_hour=True),
            "2023-12-31 23:59",
            "2024-01-01 00:00",
            ["year=2023/month=12/day=31/hour=23/", "year=2024/month=01/day=01/hour=00/"],
        ),
    ],
)
def test_prefixes(flow_log: FlowLog, first: str, last: str, expected: list[str]) -> None:
    """One for each day or hour of UTC from the first to the last."""
    begin = (
        "central/AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=eu-west-1/"
        if flow_log.hive
        else "AWSLogs/111122223333/vpcflowlogs/eu-west-1/"
    )
    name = "111122223333_vpcflowlogs_eu-west-1_fl-0a1_"
    found = list(prefixes(flow_log, SCOPE, at(first), at(last)))
    assert found == [f"{begin}{days}{name}" for days in expected]


@dataclass
class Bucket:
    """S3 with one bucket: pages of keys in their order, as ListObjectsV2 gives them."""

    keys: list[str]
    page: int = 1000
    modified: float = SLOT_AT + 400
    asked: list[dict[str, Any]] = field(default_factory=list)

    def list_objects_v2(self, **asked: Any) -> Mapping[str, Any]:
        assert asked["Bucket"] == "logs"
        self.asked.append(asked)
        after = asked.get("ContinuationToken", asked["StartAfter"])
        keys = sorted((k for k in self.keys if k.startswith(asked["Prefix"])), key=str.encode)
        keys = [k for k in keys if k.encode() > after.encode()]
        rows = [
            {
                "Key": key,
                "ETag": '"0a1b"',
                "Size": 7,
                "LastModified": datetime.fromtimestamp(self.modified, UTC),
            }
            for key in keys[: self.page]
        ]
        answer: dict[str, Any] = {"KeyCount": len(rows), "IsTruncated": len(keys) > self.page}
        if rows:
            answer["Contents"] = rows
        if answer["IsTruncated"]:
            answer["NextContinuationToken"] = rows[-1]["Key"]
        return answer

    def get_object(self, **asked: Any) -> Mapping[str, Any]:
        assert asked == {"Bucket": "logs", "Key": PLAIN + NAME}
        return {
            "ETag": '"0a1b"',
            "LastModified": datetime.fromtimestamp(self.modified, UTC),
            "ContentLength": 7,
            "Body": Stream(gzip.compress(b"x" * 300_000)),
        }


class Stream(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while chunk := self.read(size):
            yield chunk


def key(stamp: float, hashed: str, flow_log: FlowLog = FLOW_LOG) -> str:
    (prefix,) = prefixes(flow_log, SCOPE, stamp, stamp)
    when = datetime.fromtimestamp(stamp, UTC).strftime("%Y%m%dT%H%MZ")
    return f"{prefix}{when}_{hashed}.log.gz"


def found_in(s3: Bucket, first: float, last: float, flow_log: FlowLog = FLOW_LOG) -> list[str]:
    return [f.key for page in listing(s3, flow_log, SCOPE, first, last) for f in page]


@pytest.mark.parametrize("flow_log", [FLOW_LOG, BY_HOUR, BY_HIVE, replace(BY_HIVE, per_hour=True)])
@given(
    stamps=st.lists(st.integers(-40, 40), max_size=30),
    window=st.tuples(st.integers(-30, 30), st.integers(0, 40)),
    odd=st.integers(0, 299),
    page=st.integers(1, 5),
    data=st.data(),
)
def test_a_listing_finds_every_file_of_its_slots(
    flow_log: FlowLog,
    stamps: list[int],
    window: tuple[int, int],
    odd: int,
    page: int,
    data: st.DataObject,
) -> None:
    """Whatever the hashes, the pages, midnight in between: all of these slots, and no other."""
    midnight = at("2023-12-01 00:00")
    hashes = st.text("0123456789abcdef", min_size=8, max_size=8)
    files = {key(midnight + s * SLOT, data.draw(hashes), flow_log): s for s in stamps}
    other = replace(flow_log, id="fl-0a12")
    noise = [key(midnight + s * SLOT, "0a1b2c3d", other) for s in stamps]
    first, last = window[0], window[0] + window[1]
    bucket = Bucket([*files, *noise], page)
    found = found_in(bucket, midnight + first * SLOT + odd, midnight + last * SLOT + odd, flow_log)
    assert len(found) == len(set(found))
    assert set(found) == {k for k, s in files.items() if first <= s <= last}


def test_a_later_file_may_sort_before() -> None:
    """A file that came after the last listing is found though its hash sorts before all others."""
    bucket = Bucket([key(SLOT_AT, "ffffffff"), key(SLOT_AT, "88888888")])
    assert len(found_in(bucket, SLOT_AT, SLOT_AT)) == 2
    bucket.keys.append(key(SLOT_AT, "00000000"))
    assert len(found_in(bucket, SLOT_AT, SLOT_AT)) == 3


def test_what_a_listing_says() -> None:
    """ETag without quotes, when it was written, its size; keys that are no files are left out."""
    bucket = Bucket([PLAIN + NAME, PLAIN + NAME + ".tmp"])
    ((file,),) = listing(bucket, FLOW_LOG, SCOPE, SLOT_AT, SLOT_AT)
    assert (file.etag, file.modified, file.size) == ("0a1b", SLOT_AT + 400, 7)


def test_one_request_for_a_page() -> None:
    """A day is asked for once, and again only for its next page; an empty one is a page too."""
    bucket = Bucket([key(SLOT_AT, f"{i:08x}") for i in range(5)], page=2)
    pages = list(listing(bucket, FLOW_LOG, SCOPE, SLOT_AT, SLOT_AT))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert len(bucket.asked) == 3
    empty = Bucket([])
    assert list(listing(empty, FLOW_LOG, SCOPE, SLOT_AT, SLOT_AT + 86_400)) == [[], []]
    assert len(empty.asked) == 2


def test_a_listing_that_contradicts_itself() -> None:
    """A listing that counts keys and has none is no empty one."""

    class Broken(Bucket):
        def list_objects_v2(self, **asked: Any) -> Mapping[str, Any]:
            return {"KeyCount": 3, "IsTruncated": False}

    with pytest.raises(ValueError, match="counts keys and has none"):
        found_in(Broken([]), SLOT_AT, SLOT_AT)


def test_a_body() -> None:
    """A file's bytes come in chunks, with what it is now."""
    file = object_of("logs", PLAIN + NAME)
    assert file
    body = get(Bucket([]), file)
    assert (body.etag, body.modified, body.size) == ("0a1b", SLOT_AT + 400, 7)
    assert gzip.decompress(b"".join(body.chunks())) == b"x" * 300_000
