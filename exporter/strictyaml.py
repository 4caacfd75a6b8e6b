"""YAML into a typed model: every error at once, each with its line, key and remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

Loc: TypeAlias = tuple[int | str, ...]

# Values in a configuration, its aliases expanded: far above any real one, far below what hurts.
LARGEST = 100_000

# What no error may repeat: a password's hash, and what PyYAML quotes but for its own words.
_HASH = re.compile(r"\$\d\w?\$[^\s:]*")
_QUOTED = re.compile(r"'(?!<)[^']{3,}'|\"(?!<)[^\"]{3,}\"")
# No key is as long as a line of a PEM file, which misplaced indentation may make one.
LONGEST_KEY = 60


class ConfigError(Exception):
    """Raised when a configuration cannot be used; `errors` has a line for each reason."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class Several(ValueError):  # noqa: N818  # reads as what it is
    """Raised by a model's validator that finds several things wrong, each at its own key."""

    def __init__(self, found: list[tuple[Loc, str]]) -> None:
        super().__init__("; ".join(message for _, message in found))
        self.found = found


class Model(BaseModel):
    """A mapping whose unknown keys are errors.

    `refused` has keys that people look for and that cannot be, each with the reason.
    """

    refused: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


M = TypeVar("M", bound=Model)


def read(path: Path) -> str:
    """Return a file's text; raises ConfigError when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from None
    except ValueError as error:  # a NUL in the path
        raise ConfigError([f"{path}: {error}"]) from None


def parse(
    text: str,
    source: str,
    model: type[M],
    context: Mapping[str, Any] | None = None,
    *,
    secret: bool = False,
) -> M:
    """Return the model of a text; `source` names it in the errors of a ConfigError.

    `context` is what the model's validators get. With `secret` no error repeats a hash or a key.
    """
    try:
        tree, data = _load(text)
    except _NotYaml as error:
        found = [error.args]
    else:
        result, found = _validate(tree, data, model, context)
        if result is not None and not found:
            return result
    if secret:
        found = [(line, _without_secrets(message)) for line, message in found]
    raise ConfigError([f"{source}:{line}: {message}" for line, message in sorted(found)])


def _without_secrets(message: str) -> str:
    message = _HASH.sub("…", message)
    return _QUOTED.sub("…", message) if message.startswith("not YAML") else message


class _NotYaml(Exception):  # noqa: N818  # reads as what it is
    """Raised with the line and the reason."""


class _Loader(yaml.SafeLoader):
    """Keys are texts: a user named `on` is not `True`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a text", key.start_mark
                )
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


def _load(text: str) -> tuple[yaml.Node | None, Any]:
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        if _size(tree, {}) > LARGEST:
            raise _NotYaml(1, f"its aliases expand to more than {LARGEST} values")
        return tree, yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _NotYaml(line, f"not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise _NotYaml(1, f"not YAML: {error}") from None


def _validate(
    tree: yaml.Node | None, data: Any, model: type[M], context: Mapping[str, Any] | None
) -> tuple[M | None, list[tuple[int, str]]]:
    errors: list[tuple[int, str]] = []
    result: M | None = None
    data = {} if data is None else data
    unknown: list[Loc] = []
    try:
        errors += _duplicates(tree, ())
        # As JSON, for which strict validation takes lists as tuples. A date is not JSON: `str`,
        # its field says what it wants.
        json_text = json.dumps(data, default=str)
        result = model.model_validate_json(json_text, context=dict(context or {}))
    except ValidationError as error:
        for details in error.errors():
            if details["type"] == "extra_forbidden":
                unknown.append(details["loc"])
            errors += [
                (_line(tree, loc), f"{_path(loc)}{message}")
                for loc, message in _reasons(details, model)
            ]
    except (TypeError, ValueError, RecursionError) as error:
        errors.append((1, f"not a configuration: {error}"))
    if unknown:
        # They keep the validators of their model from looking at the rest of it.
        for loc in unknown:
            _remove(data, loc)
        _, more = _validate(tree, data, model, context)
        errors += [found for found in more if found not in errors]
    return result, errors


def _remove(data: Any, loc: Loc) -> None:
    *parents, key = loc
    for parent in parents:
        data = data[parent]
    del data[key]


def _reasons(error: ErrorDetails, model: type[Model]) -> list[tuple[Loc, str]]:
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, Several):
        return [((*error["loc"], *loc), message) for loc, message in raised.found]
    loc = error["loc"]
    if loc and loc[-1] == "[key]":  # pydantic's for a mapping's key that is wrong
        loc = loc[:-1]
    return [(loc, _message(error, model))]


def _path(loc: Loc) -> str:
    named = [p if isinstance(p, int) or len(p) <= LONGEST_KEY else "…" for p in loc]
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in named).lstrip(".")
    return f"{path}: " if path else ""


def _message(error: ErrorDetails, model: type[Model]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        *parents, key = error["loc"]
        at = _model_at(tuple(parents), model)
        if key in getattr(at, "refused", {}):
            return str(at.refused[key])
        fields = getattr(at, "model_fields", {})
        known = [field.alias or name for name, field in fields.items()]
        return f"unknown key; known here: {', '.join(known)}" if known else "unknown key"
    if kind == "missing":
        return "required"
    if kind == "string_type":
        return "write a text; quote it where it looks like a number"
    if kind == "tuple_type":
        return "write a list, for example [a, b]"
    if kind in ("model_type", "dict_type"):
        return "write keys and their values, for example {key: value}"
    message = error["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if kind != "value_error" else message


def _model_at(loc: Loc, model: type[Model]) -> Any:
    found: Any = model
    for key in loc:
        if isinstance(key, int):
            continue
        annotation = found.model_fields[key].annotation
        arguments = getattr(annotation, "__args__", (annotation,))
        found = arguments[0]
    return found


def _line(node: yaml.Node | None, loc: Loc) -> int:
    """The line of the innermost node on the path that the text has."""
    line = node.start_mark.line + 1 if node else 1
    for key in loc:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for k, v in node.value:
                if k.value == key:
                    line, child = k.start_mark.line + 1, v
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            child = node.value[key]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line


def _size(node: yaml.Node | None, sizes: dict[int, int]) -> int:
    """Return how many values a node stands for, each alias as often as it is used.

    One that holds itself counts as too large.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = LARGEST + 1  # until it is known: it may be met again inside itself
        inner = [n for item in node.value for n in (item if isinstance(item, tuple) else (item,))]
        sizes[id(node)] = 1 + sum(_size(n, sizes) for n in inner)
    return sizes[id(node)]


def _duplicates(node: yaml.Node | None, loc: Loc) -> Iterator[tuple[int, str]]:
    """PyYAML keeps the last of two equal keys without a word; an operator wants to know."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, f"{_path((*loc, key.value))}given twice"
            seen.add(key.value)
            yield from _duplicates(value, (*loc, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _duplicates(value, (*loc, i))
