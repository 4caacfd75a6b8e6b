"""What follows from parts that stand in for each other."""

from __future__ import annotations

import pytest

from exporter.analysis.commands import aws
from exporter.analysis.consumers import together
from exporter.analysis.phrases import age, some
from exporter.model import Scope, Status

SCOPE = Scope("444455556666", "eu-west-1")


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], "pass"),
        (["pass", "pass"], "pass"),
        (["fail", "fail"], "fail"),
        (["pass", "fail"], "warn"),
        (["pass", "warn"], "warn"),
        (["warn", "fail"], "warn"),
        (["unknown"], "unknown"),
        (["pass", "unknown"], "unknown"),
        (["fail", "unknown"], "unknown"),
        (["warn", "unknown"], "warn"),
        (["pass", "fail", "unknown"], "warn"),
    ],
)
def test_together(parts: list[Status], whole: Status) -> None:
    """It fails only where all do; it is unknown as long as one part could change what is said."""
    assert together(parts) == whole
    assert together(reversed(parts)) == whole


def test_only_what_ids_look_like_enters_a_command() -> None:
    """A quote, a space or a dollar is in no id of AWS's."""
    fine = "aws elbv2 describe-listeners --load-balancer-arn arn:aws:x/y-1 --region eu-west-1"
    operation = "elbv2 describe-listeners"
    assert aws(SCOPE, operation, "--load-balancer-arn", "arn:aws:x/y-1") == fine
    for bad in ("$(reboot)", "a b", "a;b", "a'b", "`x`", "a\nb", ""):
        assert aws(SCOPE, operation, "--load-balancer-arn", bad) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 seconds"),
        (90, "90 seconds"),
        (120, "2 minutes"),
        (10800, "3 hours"),
        (2e5, "2 days"),
    ],
)
def test_ages(seconds: float, words: str) -> None:
    """A clock that differs makes no age negative."""
    assert age(seconds) == words


def test_lists() -> None:
    """Many are not all named."""
    assert some([1]) == "1"
    assert some([1, 2, 3]) == "1, 2 and 3"
    assert some(range(8), 2) == "0, 1 and 6 more"
