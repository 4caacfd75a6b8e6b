"""Which operation a request to S3 is: its method, path and query say so.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from functools import cache
from urllib.parse import parse_qsl

from exporter.simulator.wire import api

# Where several operations look alike but for headers, or for an id in the query.
_USUAL = frozenset(["ListBuckets", "PutObject", "GetObject", "UploadPart", "ListObjects"])


def operation(method: str, path: str, query: str) -> str:
    """Return the operation's name; empty for what S3 does not have."""
    bucket, _, key = path.lstrip("/").partition("/")
    depth = 2 if key else 1 if bucket else 0
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name, needed in _operations().get((method, depth), ()):
        if all(k in given and v in ("", given[k]) for k, v in needed):
            return name
    return ""


@cache
def _operations() -> dict[tuple[str, int], list[tuple[str, list[tuple[str, str]]]]]:
    """Return by method and depth the operations and what each needs in its query."""
    model = api("s3").model
    found: dict[tuple[str, int], list[tuple[str, list[tuple[str, str]]]]] = {}
    for name in model.operation_names:
        modelled = model.operation_model(name)
        if modelled.deprecated:
            continue
        path, _, query = modelled.http["requestUri"].partition("?")
        needed = parse_qsl(query, keep_blank_values=True)
        shape = modelled.input_shape
        required = shape.required_members if shape else []
        needed += [
            (str(member.serialization["name"]), "")
            for key, member in (shape.members.items() if shape else ())
            if key in required and member.serialization.get("location") == "querystring"
        ]
        depth = sum(part in path for part in ("{Bucket}", "{Key+}"))
        found.setdefault((modelled.http["method"], depth), []).append((name, needed))
    for alike in found.values():
        # The most demanding first.
        alike.sort(key=lambda pair: (-len(pair[1]), pair[0] not in _USUAL, len(pair[0])))
    return found
