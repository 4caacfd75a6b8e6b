"""Buckets in memory, with ListObjectsV2 and GetObject as AWS documents them."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from typing import Any, Literal

import polars as pl
from botocore.exceptions import ClientError, ReadTimeoutError

NUMBERS = {
    **dict.fromkeys(("srcport", "dstport", "protocol", "tcp_flags"), pl.Int32),
    **dict.fromkeys(("packets", "bytes", "start", "end"), pl.Int64),
}


def text(names: Sequence[str], lines: Sequence[str], header: bool = True) -> bytes:
    """Return a text file of lines: gzip, with a header."""
    rows = [" ".join(names), *lines] if header else list(lines)
    return gzip.compress("\n".join([*rows, ""]).encode(), compresslevel=1, mtime=0)


def parquet(names: Sequence[str], lines: Sequence[str]) -> bytes:
    """Return a Parquet file of lines, with numbers as AWS types them."""
    columns = zip(*(line.split(" ") for line in lines), strict=True)
    made = []
    for name, column in zip((n.replace("-", "_") for n in names), columns, strict=True):
        kind = NUMBERS.get(name)
        values = [None if kind and v == "-" else int(v) if kind else v for v in column]
        made.append(pl.Series(name, values, kind or pl.String))
    file = io.BytesIO()
    # As AWS writes it, and so that it is left to polars.
    compression: Literal["gzip", "zstd"] = "gzip" if len(lines) % 2 else "zstd"
    pl.DataFrame(made).write_parquet(file, compression=compression)
    return file.getvalue()


@dataclass
class Stored:
    """An object; `written` in seconds, of which S3 tells whole ones.

    One that is `gone` is still listed.
    """

    content: bytes
    written: float
    times: int = 1
    gone: bool = False

    @property
    def etag(self) -> str:
        # Encrypted again, the same bytes have another one.
        return f'"{md5(self.content + bytes([self.times])).hexdigest()}"'

    @property
    def modified(self) -> datetime:
        return datetime.fromtimestamp(int(self.written), UTC)


@dataclass
class Body:
    """A streaming body; it may hang on the way, which boto3 raises after its timeout."""

    content: bytes
    hangs: bool

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        if self.hangs:
            yield self.content[: len(self.content) // 2]
            raise ReadTimeoutError(endpoint_url="https://s3")
        for at in range(0, len(self.content), size):
            yield self.content[at : at + size]

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.content = b""


@dataclass
class Buckets:
    """Objects by bucket and key. Pages are short; `trouble` is how likely a call fails."""

    draw: random.Random
    page: int = 3
    trouble: float = 0.0
    objects: dict[tuple[str, str], Stored] = field(default_factory=dict)

    def put(self, bucket: str, key: str, content: bytes, written: float) -> None:
        old = self.objects.get((bucket, key))
        self.objects[bucket, key] = Stored(content, written, old.times + 1 if old else 1)

    def _may_fail(self, operation: str) -> None:
        if self.draw.random() < self.trouble:
            code = self.draw.choice(["SlowDown", "InternalError", "AccessDenied"])
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)

    def list_objects_v2(self, **call: Any) -> dict[str, Any]:
        self._may_fail("ListObjectsV2")
        bucket, prefix, after = call["Bucket"], call["Prefix"], call.get("StartAfter", "")
        after = call.get("ContinuationToken", after)
        found = sorted(
            (key, stored)
            for (name, key), stored in self.objects.items()
            if name == bucket and key.startswith(prefix) and key > after
        )
        answer: dict[str, Any] = {"KeyCount": len(found[: self.page]), "IsTruncated": False}
        if found:
            answer["Contents"] = [
                {
                    "Key": key,
                    "ETag": stored.etag,
                    "LastModified": stored.modified,
                    "Size": len(stored.content),
                }
                for key, stored in found[: self.page]
            ]
        if len(found) > self.page:
            token = answer["Contents"][-1]["Key"]
            answer |= {"IsTruncated": True, "NextContinuationToken": token}
        return answer

    def get_object(self, **call: Any) -> dict[str, Any]:
        self._may_fail("GetObject")
        stored = self.objects.get((call["Bucket"], call["Key"]))
        if stored is None or stored.gone:
            error = {"Code": "NoSuchKey", "Message": "The specified key does not exist."}
            raise ClientError({"Error": error}, "GetObject")
        return {
            "ETag": stored.etag,
            "LastModified": stored.modified,
            "ContentLength": len(stored.content),
            "Body": Body(stored.content, self.draw.random() < self.trouble),
        }
