"""Logs Insights' commands: fields, filter, parse, stats, sort, limit, run one after the other.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from exporter.simulator.insights_syntax import Reader, Token, tokens
from exporter.simulator.insights_values import (
    Event,
    Expression,
    MalformedError,
    Millis,
    Value,
    bin_of,
    milliseconds,
    number,
    pattern_of,
)

# How many rows there are at most, when a query does not say, and when it does.
DEFAULT_LIMIT, MAXIMUM = 10_000, 100_000
Rows: TypeAlias = list[Event]
Step: TypeAlias = Callable[[Rows], Rows]
Aggregate: TypeAlias = Callable[[Rows], Value]
_ALWAYS = ("@timestamp", "@message")


@dataclass(slots=True)
class Query:
    """A query that has been read; `shown` are the columns that it names, in their order."""

    steps: list[tuple[str, Step]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    grouped: bool = False
    limit: int | None = None

    def run(self, events: Iterable[Event], limit: int | None = None) -> tuple[Rows, int]:
        """Return the rows, and how many events matched; `limit` is for a query without its own."""
        rows: Rows = list(events)
        matched = None
        for command, step in self.steps:
            if command == "stats" and matched is None:
                matched = len(rows)
            rows = step(rows)
        if matched is None:
            matched = len(rows)
        if "sort" not in {command for command, _ in self.steps} and not self.grouped:
            rows = sorted(rows, key=lambda e: number(e.get("@timestamp")) or 0, reverse=True)
        rows = rows[: min(self.limit or limit or DEFAULT_LIMIT, MAXIMUM)]
        names = self.shown or _ALWAYS
        hidden = () if self.grouped else ("@ptr",)
        return [{n: row[n] for n in (*names, *hidden) if row.get(n) is not None} for row in rows], (
            matched
        )


def read(text: str) -> Query:
    """Return the query; raises MalformedError."""
    query = Query()
    found = tokens(text)
    commands: list[list[Token]] = [[]]
    for token in found:
        if token.text == "|" and token.kind == "mark":
            commands.append([])
        else:
            commands[-1].append(token)
    for command in commands:
        reader = Reader(text, command)
        name = reader.take("word").text.lower()
        if name not in _COMMANDS:
            raise MalformedError(f"unknown command {name}")
        step = _COMMANDS[name](reader, query)
        reader.end()
        if step is not None:
            query.steps.append((name, step))
    return query


def shown(value: Value) -> str:
    """Return a value as a result has it."""
    if isinstance(value, Millis):
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}.{value % 1000:03d}"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _fields(reader: Reader, query: Query) -> Step:
    found = reader.many(lambda: reader.named(reader.expression))
    query.shown += [name for name, _ in found if name not in query.shown]
    return lambda rows: [_with(row, {n: e(row) for n, e in found}) for row in rows]


def _display(reader: Reader, query: Query) -> Step:
    step = _fields(reader, fresh := Query())
    query.shown = fresh.shown
    return step


def _filter(reader: Reader, _: Query) -> Step:
    condition = reader.expression()
    return lambda rows: [row for row in rows if condition(row)]


def _parse(reader: Reader, _: Query) -> Step:
    # Without a field it is the message that is read.
    source = "@message"
    if reader.peek()[:1] not in ("'", '"'):
        source = reader.name()
    token = reader.take("string", "regex")
    if token.kind == "regex":
        pattern = pattern_of(token.text)
        names = list(pattern.groupindex)
    else:
        literal = re.sub(r"\\(.)", r"\1", token.text[1:-1])
        parts = [re.escape(part) for part in literal.split("*")]
        # As little as will do, but for what stands at the end.
        greedy = parts[-1] == ""
        text = "(.*?)".join(parts)
        if greedy and len(parts) > 1:
            text = text.removesuffix("(.*?)") + "(.*)"
        pattern = re.compile(text)
        reader.expect("as")
        names = reader.many(reader.name)
        if len(names) != len(parts) - 1:
            raise MalformedError(f"{len(parts) - 1} wildcards for {len(names)} fields")

    def step(rows: Rows) -> Rows:
        found = []
        for row in rows:
            value = row.get(source)
            match = None if value is None else pattern.search(str(value))
            if match is None:
                found.append(row)
            elif token.kind == "regex":
                found.append(_with(row, match.groupdict()))
            else:
                found.append(_with(row, dict(zip(names, match.groups(), strict=True))))
        return found

    return step


def _stats(reader: Reader, query: Query) -> Step:
    sums = reader.many(lambda: reader.named(lambda: _aggregate(reader)))
    keys: list[tuple[str, Expression]] = []
    if reader.accept("by"):
        keys = reader.many(lambda: reader.named(lambda: _key(reader)))
    query.grouped = True
    query.shown = [name for name, _ in (*keys, *sums)]

    def step(rows: Rows) -> Rows:
        groups: dict[tuple[Value, ...], Rows] = {}
        for row in rows:
            groups.setdefault(tuple(key(row) for _, key in keys), []).append(row)
        if not keys and not rows:
            groups[()] = []
        return [
            {
                **{name: value for (name, _), value in zip(keys, group, strict=True)},
                **{name: aggregate(members) for name, aggregate in sums},
            }
            for group, members in groups.items()
        ]

    return step


def _key(reader: Reader) -> Expression:
    if reader.peek() != "bin":
        return reader.expression()
    reader.take()
    reader.expect("(")
    length = milliseconds(reader.take("duration").text)
    reader.expect(")")
    if not length:
        raise MalformedError("a bin has a length")
    return bin_of(length)


def _aggregate(reader: Reader) -> Aggregate:
    token = reader.take("word")
    name = token.text.lower()
    if name not in _AGGREGATES:
        raise MalformedError(f"no aggregation: {token.text} at {token.begin}")
    reader.expect("(")
    if name == "count" and (reader.accept("*") or reader.peek() == ")"):
        reader.expect(")")
        return len
    expression = reader.expression()
    reader.expect(")")
    function = _AGGREGATES[name]
    return lambda rows: function([v for v in map(expression, rows) if v is not None])


def _numbers(values: Iterable[Value]) -> list[Any]:
    return [n for n in map(number, values) if n is not None]


def _extreme(choose: Callable[..., Any]) -> Callable[[list[Value]], Value]:
    """Return what chooses among numbers; among texts where there are no numbers."""

    def chosen(values: list[Value]) -> Value:
        found: Value = choose(_numbers(values) or [str(v) for v in values], default=None)
        return found

    return chosen


def _average(values: list[Value]) -> Value:
    found = _numbers(values)
    return sum(found) / len(found) if found else None


_AGGREGATES: Mapping[str, Callable[[list[Value]], Value]] = {
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "sum": lambda values: sum(_numbers(values)),
    "avg": _average,
    "max": _extreme(max),
    "min": _extreme(min),
}


def _sort(reader: Reader, _: Query) -> Step:
    def one() -> tuple[Expression, bool]:
        expression = reader.expression()
        descending = reader.accept("desc")
        if not descending:
            reader.accept("asc")
        return expression, descending

    keys = reader.many(one)

    def step(rows: Rows) -> Rows:
        # By the last key first: sorting keeps the order of what is equal.
        for by, descending in reversed([(_ordered(e), d) for e, d in keys]):
            rows = sorted(rows, key=by, reverse=descending)
        return rows

    return step


def _ordered(expression: Expression) -> Callable[[Event], tuple[bool, bool, Any]]:
    """Return what orders rows: those without a value, numbers, text."""

    def key(row: Event) -> tuple[bool, bool, Any]:
        value = expression(row)
        found = number(value)
        return (value is not None, found is None, str(value) if found is None else found)

    return key


def _limit(reader: Reader, query: Query) -> None:
    query.limit = int(reader.take("number").text)
    if query.limit < 1:
        raise MalformedError("a limit is at least 1")


def _with(row: Event, more: Event) -> Event:
    return {**row, **more}


_COMMANDS: Mapping[str, Callable[[Reader, Query], Step | None]] = {
    "fields": _fields,
    "display": _display,
    "filter": _filter,
    "parse": _parse,
    "stats": _stats,
    "sort": _sort,
    "limit": _limit,
}
