"""Diagnoses as text for a terminal: 80 columns, and colours where it is one.

Texts come from tags, flow logs and AWS's answers: none of them may drive the terminal. A command
is broken only where a shell joins it again, so that it can be pasted.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

from exporter.log import clean
from exporter.model import Diagnosis, Finding
from exporter.outcome import Outcome
from exporter.standing import ORDER, counts, reasons, standing, verdict
from exporter.unseen import Unseen

WIDTH = 80
_STYLES = {
    "fail": "bold red",
    "warn": "yellow",
    "unknown": "magenta",
    "pass": "green",
    "not_applicable": "dim",
    "": "",
}
# A word of a command: quotes may hold spaces.
_WORDS = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")
_CAUSE = "see the root cause above"


def console(stream: TextIO) -> Console:
    """Return the console for a stream: as wide as a narrow terminal, 80 columns elsewhere."""
    terminal = stream.isatty()
    width = min(WIDTH, shutil.get_terminal_size().columns) if terminal else WIDTH
    return Console(
        file=stream,
        force_terminal=terminal,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )


def write(stream: TextIO, outcome: Outcome) -> None:
    """Write what was asked for.

    Each in full where it was asked for by name; else how many fail and why in a line each, then
    those in full, and a line for each of the others.
    """
    page = _Page(console(stream))
    several = len(outcome.results) > 1
    if several and outcome.every:
        page.line(counts(outcome.results), "bold")
        page.failures([d for d in outcome.results if d.verdict == "fail"])
        page.line()
    for diagnosis in outcome.results:
        if not outcome.every or diagnosis.verdict == "fail" or not several:
            page.full(diagnosis)
    if several:
        shown = (d for d in outcome.results if not outcome.every or d.verdict != "fail")
        page.lines(sorted(shown, key=lambda d: ORDER.index(standing(d))))
        page.line()
        page.line(counts(outcome.results), "bold")
    if not outcome.results and not outcome.missing and not outcome.unseen:
        page.line("There are no endpoints and no endpoint services here.")
    page.notes(outcome)


def lines(stream: TextIO, styled: Iterable[tuple[str, str]]) -> None:
    """Write lines as they are, each with its style."""
    page = _Page(console(stream))
    for text, style in styled:
        page.line(text, style)


def notes(stream: TextIO, outcome: Outcome) -> None:
    """Write what was not found, and what could not be seen, alone."""
    _Page(console(stream)).notes(outcome)


class _Page:
    """Lines for one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line as it is."""
        self._console.print(Text(clean(text), style), soft_wrap=True)

    def full(self, diagnosis: Diagnosis) -> None:
        """Write one endpoint or service: the root cause, then every check in causal order."""
        word, _, more = verdict(diagnosis).partition(", ")
        said = ", ".join(filter(None, (word.upper(), more)))
        title = Text(f"{said}  ", _STYLES.get(standing(diagnosis), "dim"))
        title.append(clean(" ".join(filter(None, (diagnosis.name, diagnosis.id)))), "bold")
        self._console.print(title, soft_wrap=True)
        of = diagnosis
        where = [of.scope.account, of.scope.region, of.vpc_id, of.service_name]
        self._wrapped(", ".join(filter(None, where)), "  ", style="dim")
        cause = diagnosis.root_cause
        if cause:
            self.line()
            self.line(f"Root cause: {cause.check}", "bold red")
            self._wrapped(cause.summary, "  ")
            self._details(cause, "  ")
        self.line()
        self.line("Checks, in causal order:" if of.checks else "Nothing is judged of it.", "bold")
        for finding in diagnosis.checks:
            self._check(finding, finding is cause)
        self.line()

    def lines(self, diagnoses: Sequence[Diagnosis]) -> None:
        """Write a line for each."""
        longest = max((len(diagnosis.id) for diagnosis in diagnoses), default=0)
        for diagnosis in diagnoses:
            word = diagnosis.verdict if diagnosis.judged else "not judged"
            line = Text(f"{word:<12}", _STYLES.get(standing(diagnosis), "dim"))
            line.append(f"{clean(diagnosis.id):<{longest + 2}}", "default")
            line.append(clean(diagnosis.name), "bold")
            short = clean(_in_short(diagnosis))
            line.append(f"  {short}" if short else "", "dim")
            line.rstrip()
            self._console.print(line, soft_wrap=True)

    def failures(self, diagnoses: Sequence[Diagnosis]) -> None:
        """Write a line for each that fails, with its cause: never cut, however long it is."""
        names = max((len(clean(diagnosis.name)) for diagnosis in diagnoses), default=0)
        ids = max((len(diagnosis.id) for diagnosis in diagnoses), default=0)
        for diagnosis in diagnoses:
            line = Text(f"{diagnosis.kind:<10}", _STYLES["fail"])
            if names:
                line.append(f"{clean(diagnosis.name):<{names + 2}}", "bold")
            line.append(f"{clean(diagnosis.id):<{ids + 2}}", "default")
            for cause in reasons(diagnosis):
                line.append(f"{cause.check}: {clean(' '.join(cause.summary.split()))}", "default")
            self._console.print(line, soft_wrap=True)

    def notes(self, outcome: Outcome) -> None:
        """Write what was not found, and what could not be seen."""
        for missing in outcome.missing:
            said = (
                f"{missing.wanted!r} names no endpoint or service: it is no id, tag Name, VPC, "
                "service name, DNS name or address of one."
            )
            self._wrapped(said, "", "  ", style="bold red")
            if missing.close:
                self._wrapped(f"Like it: {', '.join(missing.close)}", "  ")
        if outcome.missing:
            self.line("  Run it without a name to see all.")
        if outcome.unseen:
            what = "It may be there" if outcome.missing else "More may be there"
            self.line(f"{what}: not everything could be seen.", "bold magenta")
            for hidden in outcome.unseen:
                self._wrapped(out_of_sight(hidden), "  - ", "    ")

    def _check(self, finding: Finding, cause: bool) -> None:
        label = "n/a" if finding.status == "not_applicable" else finding.status
        head = Text("  ")
        head.append(f"{label:<8}", _STYLES[finding.status])
        head.append(finding.check, "dim" if finding.status == "not_applicable" else "bold")
        self._console.print(head, soft_wrap=True)
        indent = " " * 10
        dim = "dim" if finding.status in ("pass", "not_applicable") else ""
        self._wrapped(_CAUSE if cause else finding.summary, indent, style=dim)
        if not cause and finding.status in ("fail", "warn", "unknown"):
            self._details(finding, indent)

    def _details(self, finding: Finding, indent: str) -> None:
        """Write ids, what was seen and what to do."""
        if finding.resources:
            self._labelled("resources", ", ".join(finding.resources), indent)
        for text in finding.evidence:
            self._labelled("seen", text, indent)
        if finding.fix:
            self.line(f"{indent}fix", "bold")
            for text in finding.fix.splitlines():
                self._step(text, f"{indent}  ")

    def _labelled(self, label: str, text: str, indent: str) -> None:
        self._wrapped(text, f"{indent}{label}: ", f"{indent}  ")

    def _step(self, text: str, indent: str) -> None:
        if text.startswith("aws "):
            for line in command(text, self._console.width - len(indent)):
                self.line(f"{indent}{line}", "cyan")
        elif text[:1].isspace():
            self.line(f"{indent}{text}", "cyan")
        else:
            self._wrapped(text, indent)

    def _wrapped(self, text: str, indent: str, more: str | None = None, style: str = "") -> None:
        """Write a text on lines that fit; an id is never broken."""
        more = indent if more is None else more
        for paragraph in text.splitlines():
            lines = textwrap.wrap(
                clean(paragraph),
                self._console.width,
                initial_indent=indent,
                subsequent_indent=more,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for line in lines:
                self.line(line, style)
            indent = more


def out_of_sight(hidden: Unseen) -> str:
    """Return what a single run could not see, where, and why."""
    of = hidden.scope
    where = " ".join(filter(None, (of.account, of.region, hidden.part)))
    if hidden.waits:
        return f"{where}: the time ran out before its first pass had ended (--timeout)"
    return f"{where}: {hidden.reason}"


def command(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a command, each but the last ending with a backslash.

    Broken between words alone: one that is longer than the width stays whole.
    """
    words = _WORDS.findall(text)
    if " ".join(words) != text:
        yield text  # not a plain sequence of words: better too long than broken
        return
    line = words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) + 2 > width:
            yield f"{line} \\"
            line = f"  {word}"
        else:
            line = f"{line} {word}"
    yield line


def _in_short(diagnosis: Diagnosis) -> str:
    """Return what to look at first: the cause, else what is unknown, else what is a warning."""
    if diagnosis.root_cause:
        return diagnosis.root_cause.check
    found: dict[str, str] = {}
    for status in ("unknown", "warn"):
        found |= {f.check: status for f in diagnosis.checks if f.status == status}
        if found:
            prefix = "" if status == diagnosis.verdict else f"{status}: "
            return prefix + ", ".join(found)
    return ""
