"""`diagnose`: collect once, show what is going on to whoever looks, report what was asked for."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper

import click

from exporter import report as text
from exporter import runtime
from exporter.aws.session import Aws, NoAccess
from exporter.config import Config
from exporter.outcome import outcome
from exporter.publisher import Snapshot
from exporter.store import StoreError
from exporter.web.diagnosis import results

# What `collect` raises when it cannot begin.
CANNOT_RUN = (NoAccess, StoreError, runtime.CannotStart)


@dataclass(frozen=True, slots=True)
class Run:
    """What one pass of everything found, by which configuration, and what asked."""

    snapshot: Snapshot
    config: Config
    aws: Aws


def collect(config: Config, timeout: float, metadata: bool) -> Run:
    """Return what one pass of everything found; raises one of CANNOT_RUN.

    `metadata` is whether the instance metadata service may be asked.
    """
    aws = Aws()
    with _progress() as tell:

        def waiting(snapshot: Snapshot) -> None:
            count = len(snapshot.waiting_for)
            passes = "1 pass has" if count == 1 else f"{count} passes have"
            tell(f"collecting: {passes} not ended" if count else "collecting")

        snapshot = asyncio.run(runtime.once(config, timeout, waiting, metadata, aws))
    return Run(snapshot, config, aws)


def wait(seconds: float, what: str) -> None:
    """Wait, and say for what."""
    with _progress() as tell:
        tell(f"waiting {seconds:.0f} s for {what}")
        time.sleep(seconds)


def report(snapshot: Snapshot, wanted: Sequence[str], output: str) -> int:
    """Write what is judged of these ids and names to standard output; returns the exit code.

    As JSON, what was not found goes to standard error, and what was not seen there too.
    """
    found = outcome(snapshot, wanted)
    write_anything()
    if output == "json":
        shown = results(snapshot.world.as_of, found.results, found.unseen)
        click.echo(json.dumps(shown, indent=2))
        text.notes(sys.stderr, found)
    else:
        text.write(sys.stdout, found)
    return found.code


def write_anything() -> None:
    """Let what a terminal's encoding does not have be written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Give a function that shows what is going on, where somebody is looking."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with text.console(sys.stderr).status("") as status:
        yield status.update
