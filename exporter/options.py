"""The options that several commands have, each once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from exporter import config as configuration
from exporter import log


def _seconds(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        return configuration.duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _not_empty(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """An unset variable must not make the current directory the store."""
    if value is not None and str(value) in ("", "."):
        raise click.BadParameter("name a directory, for example ./state")
    return value


def options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command the options of these names, in this order."""
    known = {
        "config": click.option(
            "--config.file",
            "config_file",
            type=click.Path(path_type=Path),
            help="Configuration (YAML). Without one: the process's own credentials and Region.",
        ),
        "web": click.option(
            "--web.config.file",
            "web_config_file",
            type=click.Path(path_type=Path),
            help="TLS, client certificates, users and headers (YAML, in the format that "
            "Prometheus's exporters share; see docs/web.md). Followed while running.",
        ),
        "lifecycle": click.option(
            "--web.enable-lifecycle",
            "lifecycle",
            is_flag=True,
            help="Let POST and PUT /-/reload read the configuration again, as SIGHUP does.",
        ),
        "path": click.option(
            "--web.telemetry-path",
            "telemetry_path",
            default="/metrics",
            show_default=True,
            help="Path of the metrics.",
        ),
        "storage": click.option(
            "--storage.path",
            "storage_path",
            type=click.Path(path_type=Path),
            callback=_not_empty,
            help="Directory of the counters and cursors; wins over the configuration's.",
        ),
        "level": click.option(
            "--log.level",
            "log_level",
            type=click.Choice(log.LEVELS),
            default="info",
            show_default=True,
            help="Least level that is logged.",
        ),
        "quiet level": click.option(
            "--log.level",
            "log_level",
            type=click.Choice(log.LEVELS),
            default="error",
            show_default=True,
            help="Least level that is logged; what could not be seen is said in any case.",
        ),
        "output": click.option(
            "--output",
            type=click.Choice(("text", "json")),
            default="text",
            show_default=True,
            help="For people, or for programs.",
        ),
        "timeout": click.option(
            "--timeout",
            default="5m",
            show_default=True,
            callback=_seconds,
            help="After this long, judge by what has been seen, and say what has not.",
        ),
        "format": click.option(
            "--log.format",
            "log_format",
            type=click.Choice(log.FORMATS),
            default="logfmt",
            show_default=True,
            help="One line per event, in this format.",
        ),
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            command = known[name](command)
        return command

    return decorate
