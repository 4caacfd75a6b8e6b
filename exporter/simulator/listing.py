"""How AWS lists a table: by ids, by filters, in pages.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any

from exporter.simulator.state import Row
from exporter.simulator.wire import AwsError

# What a filter looks at in a row: the value, several of them, or None.
Look = Callable[[Row], Any]


def by_ids(
    rows: Sequence[Row], key: str, wanted: Iterable[str] | None, missing: Callable[[str], AwsError]
) -> list[Row]:
    """Return the rows with these ids, all rows without any; raises what `missing` returns."""
    if not wanted:
        return list(rows)
    by_id = {row[key]: row for row in rows}
    for name in wanted:
        if name not in by_id:
            raise missing(name)
    return [by_id[name] for name in dict.fromkeys(wanted)]


def filtered(
    rows: Sequence[Row], filters: Iterable[Row] | None, looks: Mapping[str, str | Look]
) -> list[Row]:
    """Return the rows that meet every filter; a filter is met by any of its values.

    `looks` has the filters that the operation knows, with the member that each looks at. Raises
    AwsError for others.
    """
    found = list(rows)
    for condition in filters or ():
        name, values = condition.get("Name", ""), condition.get("Values", [])
        look = _look(name, looks)
        accept = re.compile("|".join(_pattern(v) for v in values) or r"(?!)").match
        found = [row for row in found if any(accept(text) for text in _texts(look(row)))]
    return found


def page(
    rows: Sequence[Row], token: str | None, size: int | None, most: int, what: str
) -> tuple[list[Row], str | None]:
    """Return a page of the rows and the next one's token; raises AwsError for a token not ours."""
    start = 0
    if token:
        start = _opened(token, what)
        if not 0 < start <= len(rows):
            raise AwsError("InvalidNextToken", "The token is not valid.")
    end = start + min(size or most, most)
    return list(rows[start:end]), _sealed(end, what) if end < len(rows) else None


def limits(size: int | None, least: int, most: int) -> None:
    """Raise AwsError for a page size that EC2 does not take."""
    if size is None or least <= size <= most:
        return
    raise AwsError(
        "InvalidParameterValue",
        f"Value ( {size} ) for parameter maxResults is invalid. "
        f"Expecting a value between {least} and {most}.",
    )


def _sealed(position: int, what: str) -> str:
    return base64.urlsafe_b64encode(f"{what}/{position:08d}".encode()).decode()


def _opened(token: str, what: str) -> int:
    try:
        whose, _, position = base64.urlsafe_b64decode(token.encode()).decode().partition("/")
    except ValueError:
        whose, position = "", ""
    if whose != what or not position.isdecimal():
        raise AwsError("InvalidNextToken", "The token is not valid.")
    return int(position)


def _look(name: str, looks: Mapping[str, str | Look]) -> Look:
    if name.startswith("tag:") and "tag-key" in looks:
        key = name.removeprefix("tag:")
        return lambda row: [t.get("Value", "") for t in _tags(row) if t["Key"] == key]
    found = looks.get(name)
    if found is None:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    if isinstance(found, str):
        return path(found)
    return found


def path(members: str) -> Look:
    """Return what looks at a member of a member: `Groups.GroupId` gives every group's id."""
    first, _, rest = members.partition(".")
    inner = path(rest) if rest else None

    def look(row: Row) -> Any:
        value = row.get(first)
        if inner is None or value is None:
            return value
        if isinstance(value, dict):
            return inner(value)
        return [text for item in value for text in _texts(inner(item))]

    return look


def tag_keys(row: Row) -> list[str]:
    """Return the keys of a row's tags."""
    return [tag["Key"] for tag in _tags(row)]


def _tags(row: Row) -> list[Row]:
    tags: list[Row] = row.get("Tags") or row.get("TagSet") or []
    return tags


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)]


@lru_cache(maxsize=4096)
def _pattern(value: str) -> str:
    """Return a regular expression of a filter's value, in which * and ? are wildcards."""
    return translate(value.replace("[", "[[]"))
