"""Logs Insights' expressions: their words, and what they say in which order.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from exporter.simulator.insights_values import (
    FUNCTIONS,
    Expression,
    MalformedError,
    both,
    calculation,
    choice,
    comparison,
    compiled,
    constant,
    either,
    likeness,
    milliseconds,
    negation,
    number,
    unquoted,
)

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<quoted>`[^`]+`)
    |(?P<duration>\d+(?:ms|s|m|h|d|w)\b)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<word>[@A-Za-z_][\w@.]*)
    |(?P<mark>!=|<=|>=|=~|[=<>()\[\],+\-*/%|])""",
    re.VERBOSE,
)
_REGEX = re.compile(r"/((?:[^/\\\n]|\\.)+)/")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Token(NamedTuple):
    """A word or mark of a query, and where it begins and ends."""

    kind: str
    text: str
    begin: int
    end: int


def tokens(query: str) -> list[Token]:
    """Return a query's tokens; raises MalformedError."""
    found: list[Token] = []
    position = 0
    while position < len(query):
        before = [t.text.lower() for t in found[-2:]]
        # A slash divides, but where a pattern has to stand.
        pattern = _REGEX.match(query, position)
        if pattern and ({*before[-1:]} & {"like", "=~"} or before[:1] == ["parse"]):
            found.append(Token("regex", pattern.group(1), position, pattern.end()))
            position = pattern.end()
            continue
        match = _TOKEN.match(query, position)
        if match is None:
            raise MalformedError(f"unexpected symbol at {position}: {query[position]!r}")
        if match.lastgroup:
            found.append(Token(match.lastgroup, match.group(), position, match.end()))
        position = match.end()
    return found


class Reader:
    """Reads one command's tokens from left to right; every method raises MalformedError."""

    def __init__(self, query: str, found: list[Token]) -> None:
        self._query = query
        self._tokens = found
        self._at = 0

    def peek(self) -> str:
        """Return the next token's text in lower case; empty at the end."""
        return self._tokens[self._at].text.lower() if self._at < len(self._tokens) else ""

    def take(self, *kinds: str) -> Token:
        """Return the next token, of one of these kinds when there are any."""
        if self._at == len(self._tokens):
            raise MalformedError("unexpected end of a command")
        token = self._tokens[self._at]
        if kinds and token.kind not in kinds:
            raise MalformedError(f"unexpected {token.text!r} at {token.begin}")
        self._at += 1
        return token

    def accept(self, text: str) -> bool:
        """Take the next token when it is this one."""
        if self.peek() == text:
            self._at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Take the next token, which has to be this one."""
        if not self.accept(text):
            raise MalformedError(f"{text!r} is missing before {self.peek() or 'the end'!r}")

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self._at < len(self._tokens):
            raise MalformedError(f"unexpected {self.peek()!r}")

    def name(self) -> str:
        """Return a field's name."""
        token = self.take("word", "quoted")
        return token.text.strip("`")

    def text(self) -> str:
        """Return a string's content."""
        return unquoted(self.take("string").text)

    def many(self, item: Callable[[], Any]) -> list[Any]:
        """Return items between commas."""
        found = [item()]
        while self.accept(","):
            found.append(item())
        return found

    def named(self, item: Callable[[], Any]) -> tuple[str, Any]:
        """Return an item with its alias, or with its own text as its name."""
        begin = self._at
        found = item()
        first, last = self._tokens[begin], self._tokens[self._at - 1]
        if self.accept("as"):
            return self.name(), found
        return self._query[first.begin : last.end].strip("`"), found

    def expression(self) -> Expression:
        """Return a whole condition or value."""
        found = self._both()
        while self.accept("or"):
            found = either(found, self._both())
        return found

    def _both(self) -> Expression:
        found = self._negation()
        while self.accept("and"):
            found = both(found, self._negation())
        return found

    def _negation(self) -> Expression:
        if self.accept("not"):
            return negation(self._negation())
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        mark = self.peek()
        if mark in _COMPARISONS:
            self.take()
            return comparison(_COMPARISONS[mark], mark == "!=", left, self._sum())
        negated = self.accept("not")
        if self.accept("in"):
            self.expect("[")
            found = choice(left, self.many(self._sum))
            self.expect("]")
        elif self.peek() in ("like", "=~"):
            self.take()
            token = self.take("string", "regex")
            pattern = token.text if token.kind == "regex" else re.escape(unquoted(token.text))
            found = likeness(left, compiled(pattern))
        elif negated:
            raise MalformedError(f"unexpected {self.peek()!r} after not")
        else:
            return left
        return negation(found) if negated else found

    def _sum(self) -> Expression:
        found = self._product()
        while self.peek() in ("+", "-"):
            sign = operator.add if self.take().text == "+" else operator.sub
            found = calculation(sign, found, self._product())
        return found

    def _product(self) -> Expression:
        signs = {"*": operator.mul, "/": operator.truediv, "%": operator.mod}
        found = self._single()
        while self.peek() in signs:
            found = calculation(signs[self.take().text], found, self._single())
        return found

    def _single(self) -> Expression:
        if self.accept("("):
            found = self.expression()
            self.expect(")")
            return found
        if self.accept("-"):
            return calculation(operator.sub, constant(0), self._single())
        token = self.take("string", "number", "word", "quoted", "duration")
        if token.kind == "string":
            return constant(unquoted(token.text))
        if token.kind == "number":
            return constant(number(token.text))
        if token.kind == "duration":
            return constant(milliseconds(token.text))
        if token.kind == "word" and self.accept("("):
            return self._function(token.text.lower())
        name = token.text.strip("`")
        return lambda event: event.get(name)

    def _function(self, name: str) -> Expression:
        if name not in FUNCTIONS:
            raise MalformedError(f"unknown function {name}")
        arguments = self.many(self._sum)
        self.expect(")")
        function, count = FUNCTIONS[name]
        if count not in (None, len(arguments)):
            raise MalformedError(f"{name} takes {count} arguments")
        return lambda event: function(*(a(event) for a in arguments))
