"""`check-access`: what AWS let one run ask, reported for people or for programs."""

from __future__ import annotations

import json
import sys
from functools import partial

import click

from exporter import report as page
from exporter.access import show
from exporter.access.report import access
from exporter.aws.errors import attempt
from exporter.config import ALL_REGIONS
from exporter.diagnosing import Run, write_anything
from exporter.model import Unavailable
from exporter.outcome import UNSEEN
from exporter.unseen import waiting


def report(run: Run, output: str) -> int:
    """Write what may be asked to standard output; returns the exit code.

    As JSON, what did not come in time goes to standard error.
    """
    world = run.snapshot.world
    unfinished = frozenset(collector for collector, _, _ in world.waiting)
    found = access(world, run.config, world.off, unfinished, _caller(run))
    late = tuple(waiting(world))
    notes = [(page.out_of_sight(one), "magenta") for one in late]
    write_anything()
    if output == "json":
        click.echo(json.dumps(show.as_json(found), indent=2))
        page.lines(sys.stderr, notes)
    else:
        page.lines(sys.stdout, [*show.lines(found), *notes])
    return found.exit_code or (UNSEEN if late else 0)


def _caller(run: Run) -> str:
    """Return the ARN of who the exporter is; empty where no role waits to trust it."""
    refused = (k.operation == "AssumeRole" and k.outcome == "denied" for k in run.aws.requests())
    if not any(refused):
        return ""
    named = (r for way in run.config.accounts for r in way.regions if r not in ALL_REGIONS)
    own = attempt(partial(run.aws.own_account, next(named, "")))
    return "" if isinstance(own, Unavailable) else own.arn
