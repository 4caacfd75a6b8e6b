"""Words for members of a request, as exporter.aws.events folds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from exporter.aws.events import Folded, clean, listed, member, named

# Takes a request and its answer; returns what changed, a text each.
Words: TypeAlias = Callable[[Folded, Folded], list[str]]

# Of a list so many are told; the rest are counted.
_SHOWN = 3


def short(name: str) -> str:
    """Return an id or ARN as people say it: of an ARN what follows the account."""
    return name.split(":", 5)[5] if name.startswith("arn:") and name.count(":") >= 5 else name


def joined(texts: list[str], between: str = ", ") -> str:
    """Return the first few of these texts, and how many more there are."""
    more = len(texts) - _SHOWN
    return between.join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def anything(request: Folded, answer: Folded) -> list[str]:
    """Return all that a request and its answer name."""
    found = dict.fromkeys(name for _, name in (*named(request), *named(answer)))
    return [short(name) for name in found]


def several(value: Folded) -> list[str]:
    """Return a member that may be one or several as texts."""
    return [short(clean(inner)) for inner in listed(value) if clean(inner)]


def together(verb: str, value: Folded) -> str:
    """Return a verb with what a member lists; nothing where it lists nothing."""
    names = several(value)
    return f"{verb} {joined(names)}" if names else ""


def value(found: Folded) -> str:
    """Return a value, also where it stands in a member `value`."""
    inner = member(found, "value") if isinstance(found, dict) else found
    return str(inner).lower() if isinstance(inner, bool) else clean(inner)


def settings(request: Folded, names: Mapping[str, str]) -> list[str]:
    """Return those of the settings that a request has, with their values."""
    return [
        f"{shown} {value(request[name])}"
        for name, shown in names.items()
        if name in request and value(request[name])
    ]


def ids(verb: str, names: tuple[str, ...], request: Folded, _: Folded) -> list[str]:
    """Return a verb with the ids in one of these members."""
    return [together(verb, member(request, *names))]
