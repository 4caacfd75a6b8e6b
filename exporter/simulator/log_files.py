"""Flow logs as files in a bucket: their keys, and what is in them.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime

from exporter.simulator.state import Row, Where

# A file's records end within so many seconds.
SLOT = 300
_INT32 = frozenset(["version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path"])
_INT64 = frozenset(["packets", "bytes", "start", "end"])


def slot(end: float) -> int:
    """Return the slot, in seconds since the epoch, of records that end then."""
    return int(end // SLOT) * SLOT


def bucket_of(flow_log: Row) -> tuple[str, str]:
    """Return the bucket's name and the prefix, which is empty or ends in a slash."""
    name, _, prefix = flow_log["LogDestination"].removeprefix("arn:aws:s3:::").partition("/")
    return name, prefix


def key(flow_log: Row, where: Where, start: int, digest: str) -> str:
    """Return the key of a file of the slot that starts then; `digest` tells its files apart."""
    options = flow_log["DestinationOptions"]
    at = datetime.fromtimestamp(start, UTC)
    account, region = where
    if options["HiveCompatiblePartitions"]:
        folders = [
            f"aws-account-id={account}",
            "aws-service=vpcflowlogs",
            f"aws-region={region}",
            at.strftime("year=%Y/month=%m/day=%d"),
            at.strftime("hour=%H"),
        ]
    else:
        folders = [account, "vpcflowlogs", region, at.strftime("%Y/%m/%d"), at.strftime("%H")]
    if not options["PerHourPartition"]:
        folders.pop()
    ending = ".log.parquet" if options["FileFormat"] == "parquet" else ".log.gz"
    name = f"{account}_vpcflowlogs_{region}_{flow_log['FlowLogId']}_{at:%Y%m%dT%H%MZ}_{digest}"
    return f"{bucket_of(flow_log)[1]}AWSLogs/{'/'.join(folders)}/{name}{ending}"


def content(flow_log: Row, lines: Sequence[str]) -> bytes:
    """Return the file of these lines: gzip with a header, or Parquet."""
    names = flow_log["LogFormat"].replace("${", "").replace("}", "").split(" ")
    if flow_log["DestinationOptions"]["FileFormat"] == "parquet":
        return _parquet(names, lines)
    text = "\n".join([" ".join(names), *lines, ""])
    return gzip.compress(text.encode(), compresslevel=1, mtime=0)


def _parquet(names: Sequence[str], lines: Sequence[str]) -> bytes:
    # Of no use to a world whose flow logs are text.
    import polars as pl

    columns = zip(*(line.split(" ") for line in lines), strict=True)
    made = []
    for name, column in zip(names, columns, strict=True):
        column_name = name.replace("-", "_")
        kind = pl.Int32 if name in _INT32 else pl.Int64 if name in _INT64 else None
        if kind is None:
            made.append(pl.Series(column_name, column, pl.String))
        else:
            numbers = [None if value == "-" else int(value) for value in column]
            made.append(pl.Series(column_name, numbers, kind))
    file = io.BytesIO()
    pl.DataFrame(made).write_parquet(file, compression="gzip")
    return file.getvalue()
