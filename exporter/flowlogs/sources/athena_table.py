"""The Athena table of one flow log's files, whose partitions are projected from their paths.

https://docs.aws.amazon.com/athena/latest/ug/vpc-flow-logs.html
https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html
https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from exporter.flowlogs.formats import Format
from exporter.flowlogs.sources.pushdown import QueryFailed
from exporter.model import REGION, FlowLog

_FLOW_LOG = re.compile(r"fl-[0-9a-f]+")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(REGION)
# What needs no quoting in a statement and means nothing in a location's template.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_.=+@:/-]*")
_HOUR, _DAY = 3600, 86_400
# The unit of a partition: its name in a Hive-compatible path, what is projected, its digits.
_UNITS = (
    ("year", "2015,2099", 4),
    ("month", "1,12", 2),
    ("day", "1,31", 2),
    ("hour", "0,23", 2),
)
# The columns that are read, and their types in Parquet.
_READ = {
    "interface-id": "string",
    "action": "string",
    "log-status": "string",
    "start": "bigint",
    "end": "bigint",
    "bytes": "bigint",
    "packets": "bigint",
    "tcp-flags": "int",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a flow log's files: `create` makes it where it is not.

    The name has a digest of all that the table is made of: a changed layout is another table.
    """

    name: str
    create: str
    parquet: bool
    per_hour: bool

    def number(self, field: str) -> str:
        """Return the expression for a field's number; NULL for what is none."""
        return column(field) if self.parquet else f"TRY_CAST({column(field)} AS BIGINT)"

    def delivered(self, first: int, last: int) -> str:
        """Return the condition for the partitions that have the records of a time.

        A file lies in the partition of its slot of delivery, which is that of the record's start
        or a later one: one more is read.
        """
        step = _HOUR if self.per_hour else _DAY
        days: dict[tuple[int, int, int], list[int]] = {}
        for slot in range(first // step * step, last // step * step + step + 1, step):
            when = datetime.fromtimestamp(slot, UTC)
            days.setdefault((when.year, when.month, when.day), []).append(when.hour)
        return " OR ".join(self._of_day(day, hours) for day, hours in days.items())

    def _of_day(self, day: tuple[int, int, int], hours: list[int]) -> str:
        parts = [
            f"{_partition(unit)} = {value}" for (unit, *_), value in zip(_UNITS, day, strict=False)
        ]
        if self.per_hour:
            parts.append(f"{_partition('hour')} BETWEEN {hours[0]} AND {hours[-1]}")
        return f"({' AND '.join(parts)})"


def column(field: str) -> str:
    """Return a flow log's field as a quoted column of a SELECT."""
    return f'"{_column(field)}"'


def table(flow_log: FlowLog, layout: Format, account: str, region: str) -> Table:
    """Return the table of a flow log's files of an account and Region.

    Raises QueryFailed when the flow log's words cannot be put safely into a statement.
    """
    location = _location(flow_log, account, region)
    parquet = flow_log.file_format.lower() == "parquet"
    units = [u for u in _UNITS if flow_log.per_hour or u[0] != "hour"]
    path = "/".join(
        f"{unit}=${{{_partition(unit)}}}" if flow_log.hive else f"${{{_partition(unit)}}}"
        for unit, *_ in units
    )
    properties = dict(_properties(units))
    properties["storage.location.template"] = f"{location}{path}/"
    if parquet:
        # Found by name, so what is not read need not be there.
        columns = [(f, kind) for f, kind in _READ.items() if f in layout.fields]
        stored = "STORED AS PARQUET"
    else:
        # Found by position. As text: what is no number must not become one.
        columns = [(f, "string") for f in layout.fields]
        stored = "ROW FORMAT DELIMITED FIELDS TERMINATED BY ' ' STORED AS TEXTFILE"
        properties["skip.header.line.count"] = "1"
    body = "\n".join(
        [
            f"({', '.join(f'`{_column(f)}` {kind}' for f, kind in columns)})",
            f"PARTITIONED BY ({', '.join(f'`{_partition(u)}` int' for u, *_ in units)})",
            stored,
            f"LOCATION '{location}'",
            f"TBLPROPERTIES ({_pairs(properties)})",
        ]
    )
    digest = blake2b(body.encode(), digest_size=6).hexdigest()
    name = f"privatelink_{flow_log.id.replace('-', '_')}_{digest}"
    create = f"CREATE EXTERNAL TABLE IF NOT EXISTS `{name}` {body}"
    return Table(name, create, parquet, flow_log.per_hour)


def _pairs(properties: dict[str, str]) -> str:
    return ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())


def _properties(units: list[tuple[str, str, int]]) -> Iterator[tuple[str, str]]:
    yield "projection.enabled", "true"
    for unit, values, digits in units:
        yield f"projection.{_partition(unit)}.type", "integer"
        yield f"projection.{_partition(unit)}.range", values
        yield f"projection.{_partition(unit)}.digits", str(digits)


def _location(flow_log: FlowLog, account: str, region: str) -> str:
    """Return where the flow log's files are, up to the date."""
    service, _, name = flow_log.destination.partition(":::")
    bucket, _, prefix = name.partition("/")
    prefix = prefix.strip("/")
    for what, pattern, text in (
        ("a flow log's id", _FLOW_LOG, flow_log.id),
        ("an account", _ACCOUNT, account),
        ("a Region", _REGION, region),
        ("a bucket's name", _BUCKET, bucket),
        ("a prefix that Athena can be given", _PREFIX, prefix),
        ("a bucket's ARN", re.compile(r"arn:aws[a-z-]*:s3"), service),
    ):
        if not pattern.fullmatch(text):
            raise QueryFailed(f"not {what}: {text!r}")
    if flow_log.hive:
        path = f"aws-account-id={account}/aws-service=vpcflowlogs/aws-region={region}"
    else:
        path = f"{account}/vpcflowlogs/{region}"
    return f"s3://{bucket}/{prefix + '/' if prefix else ''}AWSLogs/{path}/"


def _column(field: str) -> str:
    return field.replace("-", "_")


def _partition(unit: str) -> str:
    # No field of a flow log is called so.
    return f"delivered_{unit}"
