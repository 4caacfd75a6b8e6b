"""Files of flow logs in S3: what their keys say, which there are, and their bytes.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from exporter.model import FlowLog, Scope
from exporter.store import Seen

KIND = "s3"
# AWS names a file by the five minutes in which its records ended.
SLOT = 300.0
_KEY = re.compile(
    r"(?:^|.*/)(?:AWSLogs/(?:aws-account-id=)?\d{12}/(?:aws-service=)?vpcflowlogs/.*/)?"
    r"(?P<account>\d{12})_vpcflowlogs_(?P<region>[a-z0-9-]+)_(?P<flow_log>fl-[0-9a-f]+)_"
    r"(?P<stamp>\d{8}T\d{4})Z_[0-9A-Za-z]+\.log\.(?P<kind>gz|parquet)(?:\.gz)?",
    re.ASCII,
)
_CHUNK = 131_072


class Object(NamedTuple):
    """A file of a flow log, as its key says; `stamp` is the slot's begin in seconds.

    `modified` (seconds) and `size` (bytes) are None where nobody has said.
    """

    bucket: str
    key: str
    scope: Scope
    flow_log_id: str
    stamp: float
    parquet: bool
    etag: str = ""
    modified: float | None = None
    size: int | None = None

    @property
    def seen(self) -> Seen:
        """Its identity."""
        name = f"{self.bucket}\0{self.key}".encode("utf-8", "surrogatepass")
        return Seen(int(self.stamp * 1000), blake2b(name, digest_size=16).digest())


def object_of(bucket: str, key: str) -> Object | None:
    """Return what a key says of the file; None when it is no flow log's."""
    found = _KEY.fullmatch(key)
    if not found:
        return None
    try:
        stamp = datetime.strptime(found["stamp"], "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    scope = Scope(found["account"], found["region"])
    return Object(
        bucket,
        key,
        scope,
        found["flow_log"],
        stamp.timestamp(),
        found["kind"] == "parquet",
    )


def bucket_of(flow_log: FlowLog) -> tuple[str, str]:
    """Return the bucket and the prefix of a flow log's destination, `arn:…:s3:::bucket/prefix/`."""
    bucket, _, prefix = flow_log.destination.rpartition(":::")[2].partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def prefixes(flow_log: FlowLog, scope: Scope, first: float, last: float) -> Iterator[str]:
    """Yield the prefixes of all keys whose slot is from `first` to `last`, in order of time.

    One for each day, or for each hour where the flow log is partitioned so.
    """
    _, prefix = bucket_of(flow_log)
    account, region = scope.account, scope.region
    name = f"{account}_vpcflowlogs_{region}_{flow_log.id}_"
    step = timedelta(hours=1) if flow_log.per_hour else timedelta(days=1)
    moment = datetime.fromtimestamp(first, UTC).replace(minute=0, second=0, microsecond=0)
    if not flow_log.per_hour:
        moment = moment.replace(hour=0)
    while moment.timestamp() <= last:
        if flow_log.hive:
            hour = moment.strftime("hour=%H/") if flow_log.per_hour else ""
            yield (
                f"{prefix}AWSLogs/aws-account-id={account}/aws-service=vpcflowlogs/"
                f"aws-region={region}/{moment.strftime('year=%Y/month=%m/day=%d/')}{hour}{name}"
            )
        else:
            hour = moment.strftime("%H/") if flow_log.per_hour else ""
            days = moment.strftime("%Y/%m/%d/")
            yield f"{prefix}AWSLogs/{account}/vpcflowlogs/{region}/{days}{hour}{name}"
        moment += step


def listing(
    s3: Any, flow_log: FlowLog, scope: Scope, first: float, last: float
) -> Iterator[list[Object]]:
    """Yield the flow log's files whose slot is from `first` to `last` (seconds), page by page.

    Within a slot the hash sorts them, not the time: a later one may come first, so that what was
    listed last says nothing. Raises what boto3 raises.
    """
    bucket, _ = bucket_of(flow_log)
    begin = datetime.fromtimestamp(first - first % SLOT, UTC).strftime("%Y%m%dT%H%MZ")
    for prefix in prefixes(flow_log, scope, first, last):
        token: dict[str, str] = {}
        while True:
            answer = s3.list_objects_v2(
                Bucket=bucket, Prefix=prefix, StartAfter=f"{prefix}{begin}", **token
            )
            found = []
            for row in answer.get("Contents", ()):
                named = object_of(bucket, row["Key"])
                if named and named.flow_log_id == flow_log.id and named.stamp <= last:
                    found.append(
                        named._replace(
                            etag=row["ETag"].strip('"'),
                            modified=row["LastModified"].timestamp(),
                            size=row["Size"],
                        )
                    )
            if "Contents" not in answer and answer["KeyCount"] != 0:
                raise ValueError("a listing that counts keys and has none")
            yield found
            if not answer.get("IsTruncated"):
                break
            token = {"ContinuationToken": answer["NextContinuationToken"]}


class Body(NamedTuple):
    """A file as it is now: `modified` in seconds, `size` in bytes."""

    etag: str
    modified: float
    size: int
    stream: Any

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes; raises what boto3 raises, OSError too."""
        yield from self.stream.iter_chunks(_CHUNK)


def get(s3: Any, file: Object) -> Body:
    """Return a file's bytes, to be read; raises what boto3 raises."""
    answer = s3.get_object(Bucket=file.bucket, Key=file.key)
    return Body(
        answer["ETag"].strip('"'),
        answer["LastModified"].timestamp(),
        int(answer["ContentLength"]),
        answer["Body"],
    )
