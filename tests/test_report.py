"""A diagnosis as people read it in a terminal."""

from __future__ import annotations

import io
import json
import re
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from exporter.model import Diagnosis, Finding, Scope
from exporter.outcome import Missing, Outcome
from exporter.report import command, write
from exporter.unseen import Unseen
from tests.worlds import ENDPOINT, PENDING, SCOPE, SERVICE, diagnosis

ACCEPT = (
    "aws ec2 accept-vpc-endpoint-connections --service-id vpce-svc-0a1b2c3d4e5f60718 "
    "--vpc-endpoint-ids vpce-0a1b2c3d4e5f60718 --region eu-west-1"
)
RULES = json.dumps([{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}] * 3)
STATE = Finding(
    "endpoint_state",
    "fail",
    "The provider has not accepted the connection: it has waited for three hours, which is long.",
    ("vpce-0a2", "vpce-svc-0a1"),
    ("DescribeVpcEndpoints: State pendingAcceptance",),
    f"In account 444455556666, if this consumer is meant to connect:\n{ACCEPT}",
)
DNS = Finding("private_dns", "warn", "It is off.", fix="Switch it on.")
GROUP = Finding("security_group", "pass", "It lets 10.1.0.0/16 in.", evidence=("sgr-0a1",))
SOON = Finding("connectivity", "not_applicable", "Switched off: not judged.")
BLIND = Finding("route", "unknown", "Cannot be judged: DescribeRouteTables: denied.")
FAILING = diagnosis(replace(PENDING, tags={"Name": "ledger"}), STATE, DNS, GROUP, SOON)
PASSING = diagnosis(replace(ENDPOINT, tags={"Name": "orders"}), GROUP, DNS)
UNKNOWN = diagnosis(SERVICE, BLIND, GROUP)


class Terminal(io.StringIO):
    """What a terminal gets."""

    def isatty(self) -> bool:
        return True


def report(*diagnoses: Diagnosis, stream: io.StringIO | None = None, **more: Any) -> str:
    stream = stream or io.StringIO()
    write(stream, Outcome(diagnoses, **more))
    return stream.getvalue()


def test_one_that_fails() -> None:
    """First the root cause with what was seen and the fix, then every check in causal order."""
    assert report(FAILING) == (
        """\
FAIL  ledger vpce-0a2
  111122223333, eu-west-1, vpc-0a1, com.amazonaws.vpce.x

Root cause: endpoint_state
  The provider has not accepted the connection: it has waited for three hours,
  which is long.
  resources: vpce-0a2, vpce-svc-0a1
  seen: DescribeVpcEndpoints: State pendingAcceptance
  fix
    In account 444455556666, if this consumer is meant to connect:
    aws ec2 accept-vpc-endpoint-connections --service-id \\
      vpce-svc-0a1b2c3d4e5f60718 --vpc-endpoint-ids vpce-0a1b2c3d4e5f60718 \\
      --region eu-west-1

Checks, in causal order:
  fail    endpoint_state
          see the root cause above
  warn    private_dns
          It is off.
          fix
            Switch it on.
  pass    security_group
          It lets 10.1.0.0/16 in.
  n/a     connectivity
          Switched off: not judged.

"""
    )


def test_everything_there_is() -> None:
    """How many, a line for each that fails; it in full; a line for each other, unknown first."""
    text = report(PASSING, FAILING, UNKNOWN)
    assert text.startswith(
        """\
1 fail, 1 unknown, 1 warn
endpoint  ledger  vpce-0a2  endpoint_state: The provider has not accepted the connection: \
it has waited for three hours, which is long.

FAIL  ledger vpce-0a2
"""
    )
    assert text.index("Root cause: endpoint_state") < text.index("unknown   ")
    assert text.endswith(
        """
unknown     vpce-svc-0a1  payments  route
pass        vpce-0a1      orders  warn: private_dns

1 fail, 1 unknown, 1 warn
"""
    )


def test_several_that_were_asked_for() -> None:
    """Each in full, whatever its verdict, and a line for each at the end."""
    text = report(PASSING, FAILING, every=False)
    assert text.count("Checks, in causal order:") == 2
    assert text.endswith(
        "\nfail        vpce-0a2  ledger  endpoint_state\n"
        "pass        vpce-0a1  orders  warn: private_dns\n\n1 fail, 1 warn\n"
    )


def test_what_is_being_deleted_is_not_called_healthy() -> None:
    """Where no check applies there is no verdict to show."""
    assert report(diagnosis(ENDPOINT, SOON)).startswith("NOT JUDGED  ")
    assert "2 not judged" in report(diagnosis(ENDPOINT, SOON), diagnosis(SERVICE))


def test_what_was_not_found_or_seen_is_said() -> None:
    """A name that is none is answered with what is like it, what is unseen with the reason."""
    missing = (Missing("order", ("orders", "orders-api")),)
    text = report(missing=missing, every=False)
    assert text == (
        """\
'order' names no endpoint or service: it is no id, tag Name, VPC, service name,
  DNS name or address of one.
  Like it: orders, orders-api
  Run it without a name to see all.
"""
    )
    text = report(missing=missing, unseen=(Unseen("endpoints", SCOPE, "denied"),))
    assert "It may be there: not everything could be seen.\n  - 111122223333" in text
    assert report(PASSING, unseen=(Unseen("accounts", Scope("", ""), "denied"),)).endswith(
        "More may be there: not everything could be seen.\n  - accounts: denied\n"
    )
    assert report() == "There are no endpoints and no endpoint services here.\n"


def test_colours_only_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets none, whatever the environment says; a terminal does."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    assert "\x1b" not in report(FAILING)
    coloured = report(FAILING, stream=Terminal())
    assert "\x1b[1;31mFAIL" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == report(FAILING)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in report(FAILING, stream=Terminal())


def test_others_texts_do_not_drive_the_terminal() -> None:
    """A tag or a record with control characters or markup is shown, not obeyed."""
    evil = "\x1b]0;owned\x07[bold]\x9b31m\r"
    finding = Finding("dns", "fail", evil, (evil,), (f"a\n{evil}",), f"aws {evil}")
    of = diagnosis(replace(ENDPOINT, tags={"Name": evil}), finding)
    for stream in (io.StringIO(), Terminal()):
        text = re.sub(r"\x1b\[[\d;]*m", "", report(of, of, stream=stream))
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "[bold]" in text


def test_lines_fit() -> None:
    """No line is wider than 80 columns, but for a word that is."""
    words = " ".join(f"word{i}" for i in range(60))
    finding = Finding("dns", "fail", words, ("sg-0a1",) * 40, (words, words), f"{words}\n{ACCEPT}")
    assert max(map(len, report(diagnosis(ENDPOINT, finding)).splitlines())) <= 80


def test_lists_are_never_cut() -> None:
    """A line of a list has all there is to say, in a file and in a narrow terminal."""
    name, summary = "n" * 90, "It is not in order. " * 9
    named = replace(ENDPOINT, tags={"Name": name})
    failing, odd = Finding("dns", "fail", summary), Finding("route", "warn", summary)
    for stream in (io.StringIO(), Terminal()):
        text = report(diagnosis(named, failing), diagnosis(named, odd), stream=stream)
        text = re.sub(r"\x1b\[[\d;]*m", "", text)
        assert "…" not in text
        assert f"endpoint  {name}  vpce-0a1  dns: {summary.strip()}\n" in text
        assert f"pass        vpce-0a1  {name}  warn: route\n" in text


def test_a_pass_with_warnings_says_so() -> None:
    """The headline has how many; the plain pass is for what has none."""
    assert report(PASSING).startswith("PASS, 1 warning  orders vpce-0a1\n")
    assert report(diagnosis(ENDPOINT, DNS, DNS)).startswith("PASS, 2 warnings  ")
    assert report(diagnosis(ENDPOINT, GROUP)).startswith("PASS  ")
    assert report(diagnosis(ENDPOINT, BLIND, DNS)).startswith("UNKNOWN  ")


@pytest.mark.parametrize(
    "text",
    [
        ACCEPT,
        "aws ec2 x --filters 'Name=a b,Values=c d' \"quoted words with 'others' inside of them\" "
        "--more-and-more-and-more here\\ is\\ one",
        f"aws ec2 x --ip-permissions '{RULES}' --region eu-west-1",
        "aws ec2 x  --two-spaces --would --be --lost --if --this --were --broken --at --them --all",
        "aws short",
        "aws ec2 x 'never closed --and-more --and-more --and-more --and-more --and-more --and-more",
    ],
    ids=["plain", "quotes", "JSON", "spaces", "short", "unclosed"],
)
def test_a_command_means_the_same_when_it_is_broken(text: str) -> None:
    """What a shell makes of the lines is what it makes of the command; no quotes are broken."""
    lines = list(command(text, 60))
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert words("\n".join(lines)) == words(text)
    assert len(lines) == 1 or max(map(len, lines)) <= 60 or RULES in text


def words(text: str) -> list[str] | None:
    """Return what a shell gives to `aws`; None where it is no command."""
    script = f'aws() {{ printf "%s\\0" "$@"; }}\n{text}\n'
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return ran.stdout.split("\0") if ran.returncode == 0 else None
