"""The commands and the wiring; the only place that reads the environment and exits."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import click
import structlog

from exporter import __version__, log
from exporter import config as configuration
from exporter.config import Config, ConfigError
from exporter.options import options
from exporter.web import webconfig

if TYPE_CHECKING:
    from exporter import runtime
    from exporter.diagnosing import Run

DEFAULT_ADDRESS = ":10911"
# How fast the simulated organisation's flow logs are when it is diagnosed once, and after how many
# seconds they tell of every endpoint.
_DEMO_SPEED, _DEMO_SECONDS = 300.0, 6.0


class _ServeByDefault(click.Group):
    """Without a command it is `serve`, so that the flags work as in every other exporter."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ServeByDefault, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="privatelink-exporter")
def main() -> None:
    """Watch AWS PrivateLink and give what is known of it to Prometheus.

    Without a command it is serve: see serve --help for the flags. Flags come after the command.
    """


@main.command()
@options("config")
@click.option(
    "--web.listen-address",
    "address",
    default=DEFAULT_ADDRESS,
    show_default=True,
    help="Address to listen on: HOST:PORT, or :PORT for every address.",
)
@options("web", "lifecycle", "path", "storage", "level", "format")
def serve(
    config_file: Path | None,
    address: str,
    web_config_file: Path | None,
    lifecycle: bool,
    telemetry_path: str,
    storage_path: Path | None,
    log_level: str,
    log_format: str,
) -> None:
    """Run the daemon.

    SIGHUP has it read its configuration again; a file with errors is refused and the old one
    stays in force.
    """
    log.configure(log_level, log_format)
    config = _load(config_file, web_config_file)
    web = _web(address, telemetry_path, web_config_file, lifecycle)
    _serve(config, config_file, web, storage_path or Path(config.storage.path))
    _leave()


@main.command()
@click.option(
    "--web.listen-address",
    "address",
    default="127.0.0.1:10911",
    show_default=True,
    help="Address to listen on; port 0 takes a free one.",
)
@options("web", "lifecycle", "path", "storage", "level", "format")
@click.option(
    "--speed",
    type=click.FloatRange(1, 600),
    default=60.0,
    show_default=True,
    help="How much faster than AWS flow logs are aggregated and delivered.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the traffic.")
def demo(
    address: str,
    web_config_file: Path | None,
    lifecycle: bool,
    telemetry_path: str,
    storage_path: Path | None,
    log_level: str,
    log_format: str,
    speed: float,
    seed: int,
) -> None:
    """Run the daemon on a simulated AWS organisation; no account is needed.

    Every AWS setting of yours is ignored.
    """
    simulated = _simulated(1)
    log.configure("warning" if log_level == "info" else log_level, log_format)
    _load(None, web_config_file)
    web = _web(address, telemetry_path, web_config_file, lifecycle)
    _forget_aws_settings()
    with simulated.simulator(speed, seed) as running:
        os.environ.update(running.environment)
        _serve(
            configuration.parse(running.config, "demo configuration"),
            None,
            web,
            storage_path or running.directory / "state",
            running.guide,
        )
    _leave()


@main.command()
@click.argument("wanted", metavar="[NAME]...", nargs=-1)
@options("config", "output", "timeout")
@click.option("--demo", is_flag=True, help="Diagnose the simulated organisation of the demo.")
@options("quiet level", "format")
def diagnose(
    wanted: tuple[str, ...],
    config_file: Path | None,
    output: str,
    timeout: float,
    demo: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Say what is wrong with endpoints and services, each named by its id or its tag Name.

    The beginning of an id will do where it is no other's; the id of a VPC, the name of a service, a
    DNS name or an address stands for all that belong to it.

    Collects once and judges; without a name everything. Reads nothing of a running exporter's, and
    changes nothing.

    Ends with 0 when all is well, 1 when something fails, 2 when it was not used rightly (nothing
    has that name), 3 when something could not be seen, 4 when it could not run.
    """
    from exporter import diagnosing

    log.configure(log_level, log_format)
    _once(config_file, timeout, demo, lambda run: diagnosing.report(run.snapshot, wanted, output))


@main.command("check-access")
@options("config", "output", "timeout")
@click.option("--demo", is_flag=True, help="Check the simulated organisation of the demo.")
@options("quiet level", "format")
def check_access(
    config_file: Path | None,
    output: str,
    timeout: float,
    demo: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Say which calls AWS denies, which checks that leaves blind, and what to permit.

    Collects once, as the exporter does, and counts what became of each call. Changes nothing.

    Ends with 0 when nothing is denied, 1 when something is, 2 when it was not used rightly, 3 when
    calls were throttled, failed or did not come in time, 4 when it could not run.
    """
    from exporter import checking

    log.configure(log_level, log_format)
    _once(config_file, timeout, demo, lambda run: checking.report(run, output))


def _once(
    config_file: Path | None, timeout: float, demo: bool, report: Callable[[Run], int]
) -> NoReturn:
    """Collect once, report, and exit with the code of the report."""
    from exporter import diagnosing
    from exporter.outcome import COULD_NOT_RUN

    config = _load(config_file, None, COULD_NOT_RUN)
    if demo and config_file:
        raise click.UsageError("--demo has a configuration of its own: leave --config.file out")
    try:
        if demo:
            simulated = _simulated(COULD_NOT_RUN)
            _forget_aws_settings()
            with simulated.simulator(_DEMO_SPEED, 1) as running:
                os.environ.update(running.environment)
                config = configuration.parse(running.config, "demo configuration")
                diagnosing.wait(_DEMO_SECONDS, "traffic in the simulated organisation")
                code = report(diagnosing.collect(config, timeout, metadata=False))
        else:
            _take_region()
            code = report(diagnosing.collect(config, timeout, _may_ask_metadata()))
    except KeyboardInterrupt:
        _leave(128 + signal.SIGINT)
    except diagnosing.CANNOT_RUN as error:
        _fail(str(error), COULD_NOT_RUN)
    except Exception as error:  # noqa: BLE001  # a bug must not say by 1 that an endpoint fails
        structlog.get_logger("exporter").exception("a single run broke")
        _fail(f"internal error: {type(error).__name__}: {error}", COULD_NOT_RUN)
    _leave(code)


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
@options("web")
def check_config(file: Path, web_config_file: Path | None) -> None:
    """Check a configuration file: all errors at once, each with its line and path."""
    _load(file, web_config_file)
    for checked in filter(None, (file, web_config_file)):
        click.echo(f"{checked}: valid")


def _load(file: Path | None, web_config_file: Path | None, code: int = 1) -> Config:
    """Return the configuration; exits with the errors of both files."""
    errors: list[str] = []
    config = Config()
    if file:
        try:
            config = configuration.load(file)
        except ConfigError as error:
            errors += error.errors
    if web_config_file:
        try:
            webconfig.load(web_config_file)
        except ConfigError as error:
            errors += error.errors
    if errors:
        _fail("\n".join(errors), code)
    return config


def _simulated(code: int) -> ModuleType:
    """Return what runs the simulator; exits with the code where its extra is not installed."""
    try:
        from exporter.simulator import demo as simulated
    except ImportError as error:
        _fail(
            "The demo needs its extra: pip install 'privatelink-exporter[demo]', or from a "
            f"checkout pip install '.[demo]' ({error})",
            code,
        )
    return simulated


def _forget_aws_settings() -> None:
    """The simulator and what is led to it must not reach the user's own AWS."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "BOTO")) or "PROXY" in n.upper()]:
        del os.environ[name]


def _web(
    address: str, telemetry_path: str, web_config_file: Path | None, lifecycle: bool
) -> runtime.Web:
    from exporter import runtime

    taken = telemetry_path.startswith(("/-/", "/api/"))
    if taken or not re.fullmatch(r"(/[\w.~-]+)+", telemetry_path, re.ASCII):
        _fail(f"--web.telemetry-path: {telemetry_path!r} must be a path of its own, like /metrics")
    return runtime.Web(address, telemetry_path, web_config_file, lifecycle)


def _serve(
    config: Config,
    config_file: Path | None,
    web: runtime.Web,
    storage: Path,
    guide: Any = None,
) -> None:
    """Run until SIGTERM or SIGINT; exits 1 with the remedy when it cannot begin."""
    # Imported here: `--help` and `check-config` need none of it.
    from exporter import runtime
    from exporter.aws.session import NoAccess
    from exporter.store import StoreError
    from exporter.web.server import ListenError

    _take_region()
    # A demo that has nothing to read again ends with its terminal, as other programs do.
    reloads = guide is None or web.config_file is not None
    on_signals = partial(_on_signals, reloads)
    try:
        asyncio.run(
            runtime.run(
                config,
                config_file,
                web,
                storage,
                on_signals,
                guide,
                metadata=_may_ask_metadata(),
            )
        )
    except (NoAccess, StoreError, ListenError, ConfigError, runtime.CannotStart) as error:
        _fail(str(error))


def _take_region() -> None:
    """The other SDKs, ECS and Lambda say AWS_REGION; boto3 knows only the older name."""
    if "AWS_REGION" in os.environ:
        os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])


def _may_ask_metadata() -> bool:
    return os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"


def _on_signals(reloads: bool, stop: asyncio.Event, hangup: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set if reloads else stop.set)


def _leave(code: int = 0) -> NoReturn:
    """Exit without waiting for threads that AWS keeps blocked: what matters is committed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(message: str, code: int = 1) -> NoReturn:
    click.echo("\n".join(log.clean(line) for line in message.splitlines()), err=True)
    sys.exit(code)
