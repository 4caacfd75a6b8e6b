"""Logs Insights' values, and the functions of an event that expressions are made of.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-operations-functions.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

# A field that an event lacks is None.
Value: TypeAlias = str | int | float | bool | None
Event: TypeAlias = Mapping[str, Value]
Expression: TypeAlias = Callable[[Event], Value]

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class MalformedError(Exception):
    """Raised for a query that cannot be read; says where."""


class Millis(int):
    """A time, in milliseconds since the epoch: shown as a date."""


def number(value: Value) -> int | float | None:
    """Return a value as a number; None for what is none."""
    if isinstance(value, int | float):
        return value
    for kind in (int, float):
        try:
            return kind(value or "")
        except ValueError:
            continue
    return None


def milliseconds(duration: str) -> int:
    """Return a duration such as 5m in milliseconds."""
    unit = duration.lstrip("0123456789")
    return int(duration.removesuffix(unit)) * _UNITS[unit]


# Their functions and how many arguments they take; None is any number.
FUNCTIONS: dict[str, tuple[Callable[..., Value], int | None]] = {
    "ispresent": (lambda value: value is not None, 1),
    "isblank": (lambda value: value is None or not str(value).strip(), 1),
    "isempty": (lambda value: value in (None, ""), 1),
    "coalesce": (lambda *values: next((v for v in values if v is not None), None), None),
    "concat": (lambda *values: "".join(str(v) for v in values if v is not None), None),
    "strlen": (lambda value: None if value is None else len(str(value)), 1),
    "tolower": (lambda value: None if value is None else str(value).lower(), 1),
    "toupper": (lambda value: None if value is None else str(value).upper(), 1),
    "abs": (lambda value: None if number(value) is None else abs(number(value) or 0), 1),
    "floor": (lambda value: None if number(value) is None else (number(value) or 0) // 1, 1),
}


def bin_of(length: int) -> Expression:
    """Return what puts an event's timestamp into a bin of so many milliseconds."""

    def evaluate(event: Event) -> Value:
        at = number(event.get("@timestamp"))
        return None if at is None else Millis(at // length * length)

    return evaluate


def unquoted(text: str) -> str:
    """Return what stands between a string's quotes."""
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a regular expression; raises MalformedError."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise MalformedError(f"no pattern: {pattern}: {error}") from error


def pattern_of(text: str) -> re.Pattern[str]:
    """Return the regular expression between slashes; raises MalformedError."""
    # Named groups are written as in Java.
    return compiled(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", text))


def constant(value: Value) -> Expression:
    """Return what is the same for every event."""
    return lambda _: value


def either(left: Expression, right: Expression) -> Expression:
    """Return whether one of two is true."""
    return lambda event: bool(left(event)) or bool(right(event))


def both(left: Expression, right: Expression) -> Expression:
    """Return whether two are true."""
    return lambda event: bool(left(event)) and bool(right(event))


def negation(inner: Expression) -> Expression:
    """Return whether something is not true."""
    return lambda event: not inner(event)


def _pair(left: Value, right: Value) -> tuple[Any, Any]:
    """Return both as numbers, or both as text."""
    numbers = number(left), number(right)
    return (str(left), str(right)) if None in numbers else numbers


def comparison(
    compare: Callable[[Any, Any], bool], unequal: bool, left: Expression, right: Expression
) -> Expression:
    """Return how two values compare; `unequal` is what it is when one is missing."""

    def evaluate(event: Event) -> Value:
        values = left(event), right(event)
        # What is missing equals nothing; text is not less than a number, nor more.
        if None in values:
            return unequal
        ordered = compare not in (operator.eq, operator.ne)
        if ordered and (number(values[0]) is None) != (number(values[1]) is None):
            return False
        return compare(*_pair(*values))

    return evaluate


def choice(left: Expression, choices: list[Expression]) -> Expression:
    """Return whether a value is one of several."""

    def evaluate(event: Event) -> Value:
        value = left(event)
        return value is not None and any(
            operator.eq(*_pair(value, choice(event))) for choice in choices
        )

    return evaluate


def likeness(left: Expression, pattern: re.Pattern[str]) -> Expression:
    """Return whether a pattern is found in a value."""

    def evaluate(event: Event) -> Value:
        value = left(event)
        return value is not None and pattern.search(str(value)) is not None

    return evaluate


def calculation(
    calculate: Callable[[Any, Any], Any], left: Expression, right: Expression
) -> Expression:
    """Return a number made of two; None when one is missing or not a number."""

    def evaluate(event: Event) -> Value:
        numbers = number(left(event)), number(right(event))
        if None in numbers:
            return None
        try:
            found: Value = calculate(*numbers)
        except ZeroDivisionError:
            return None
        return found

    return evaluate
