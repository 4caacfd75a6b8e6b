"""The exporter as a process while its store cannot be used: it serves on, and loses nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from exporter import metrics as m
from exporter.store import FILE
from tests.harness import ExporterProcess, SimulatorProcess, exporter, select, simulator, until
from tests.test_kills import Counts, configure, delivered, difference, names, shown

# Room for the log, and for nothing else.
LITTLE = 8192
NOBODY = 65534
# Somebody who may read what only root may, such as root's own interpreter, and write nothing.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
    "--bounding-set=-all,+dac_read_search",
)


class Run:
    """An exporter that has counted something before its store fails."""

    def __init__(self, aws: SimulatorProcess, directory: Path) -> None:
        self.aws = aws
        self.directory = directory
        self.store = directory / "state" / FILE
        self.config = directory / "config.yaml"
        self.through: Sequence[str] = ()
        self.counted: Counts = {}
        # So many counters there are when each endpoint has some.
        self.many = 9
        port = aws.about["dns_port"]
        self.config.write_text(
            "collectors:\n"
            "  inventory: {interval: 500ms}\n"
            "  flow_logs: {interval: 500ms, lookback: 5m}\n"
            f"  dns: {{interval: 500ms, resolvers: [{{address: '127.0.0.1:{port}'}}]}}\n"
        )

    def start(self) -> AbstractContextManager[ExporterProcess]:
        arguments = (f"--config.file={self.config}", "--log.level=info")
        return exporter(self.aws.environment, self.directory, *arguments, through=self.through)

    def first(self, running: ExporterProcess) -> None:
        """Wait until something was counted."""
        until(lambda: len(select(running.series(), m.FLOW_RECORDS.name)) >= self.many)
        self.names = names(running)
        # A record that began before its flow log was first seen is not counted; the first window
        # is of whole seconds and begins up to two seconds and a quarter ago.
        time.sleep(2.4)
        self.aws.control("clock", {"running": True})
        until(lambda: len(shown(running)) > self.many)
        self.counted = shown(running)

    def fails(self, running: ExporterProcess, counts: bool | None = True) -> None:
        """See that it says that its store fails and goes on with all the rest.

        `counts` is whether what was counted is shown: one that was started without its store shows
        nothing, and None is for one that may or may not have read it.
        """
        until(lambda: is_ok(running, 0), what="privatelink_store_ok 0")
        began = time.time()
        for collector in ("inventory", "dns"):
            until(partial(succeeded, running, collector, began), what=collector)
        series = running.series()
        assert select(series, m.ENDPOINT_STATE.name)
        assert select(series, m.STORE_OK.name)
        after = shown(running)
        if counts or (counts is None and after):
            assert all(after.get(key, 0) >= value for key, value in self.counted.items())
        else:
            assert not after
        assert running.alive()

    def recovers(self, running: ExporterProcess) -> None:
        """See that it counts on from what had been committed."""
        until(lambda: is_ok(running, 1), what="privatelink_store_ok 1")
        until(lambda: sum(shown(running).values()) > sum(self.counted.values()))
        assert all(shown(running).get(key, 0) >= n for key, n in self.counted.items())
        self.counted = shown(running)

    def last(self, running: ExporterProcess) -> None:
        """Compare with everything that was delivered."""
        self.recovers(running)
        self.aws.control("clock", {"running": False})
        until(lambda: self.aws.control("truth")["pending"] == 0)
        truth = delivered(self.aws.control("truth"), self.names)
        assert len(truth) > self.many
        wrong: list[object] = []

        def equal() -> bool:
            wrong[:] = [difference(shown(running), truth)]
            return not wrong[0]

        end = time.monotonic() + 60
        while not equal():
            lines = select(running.series(), m.FLOW_LOG_LINES.name)
            assert time.monotonic() < end, (wrong, lines)
            time.sleep(0.1)
        time.sleep(1)
        assert equal(), wrong


def is_ok(running: ExporterProcess, value: float) -> bool:
    return set(select(running.series(), m.STORE_OK.name).values()) == {value}


def succeeded(running: ExporterProcess, collector: str, since: float) -> bool:
    """Whether a collector has succeeded everywhere since then."""
    found = select(running.series(), m.COLLECTOR_LAST_SUCCESS.name, collector=collector)
    return min(found.values(), default=0.0) > since


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """An account whose flow logs go to log groups."""
    with simulator("--world", "small", "--no-clock", "--speed", "600") as aws:
        yield Run(aws, tmp_path)


def limit(running: ExporterProcess, size: int) -> None:
    """Let the process write files of that size at most."""
    _, most = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, most))


@contextmanager
def paused(running: ExporterProcess, store: Path) -> Iterator[None]:
    """Hold the process while it writes nothing, so that the file has all that was committed."""
    end = time.monotonic() + 20
    while True:
        running.process.send_signal(signal.SIGSTOP)
        files = [path for path in store.parent.glob(f"{FILE}*") if path.exists()]
        if time.time() - max(path.stat().st_mtime for path in files) > 0.05:
            break
        running.process.send_signal(signal.SIGCONT)
        assert time.monotonic() < end, "it never ceases to write"
        time.sleep(0.03)
    try:
        yield
    finally:
        running.process.send_signal(signal.SIGCONT)


def cut(path: Path, good: bytes) -> None:
    os.truncate(path, len(good) // 2 // 4096 * 4096)


def empty(path: Path, _: bytes) -> None:
    os.truncate(path, 0)


def pages(path: Path, good: bytes) -> None:
    """Damage every page but the first one, in place."""
    bad = bytearray(good)
    for page in range(4096, len(bad), 4096):
        bad[page : page + 200] = b"\xff" * 200
    path.write_bytes(bad)


def replace(path: Path, _: bytes) -> None:
    """Move something else over the file."""
    other = path.with_suffix(".other")
    other.write_bytes(b"this is no database" * 1000)
    owner = path.stat()
    os.chown(other, owner.st_uid, owner.st_gid)
    other.replace(path)


def remove(path: Path, _: bytes) -> None:
    path.unlink()


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.mark.prove
def test_no_room_while_it_runs_and_when_it_starts(run: Run) -> None:
    """Without room it serves what was committed; with some again it goes on where it was."""
    with run.start() as running:
        run.first(running)
        limit(running, LITTLE)
        run.fails(running)
        limit(running, resource.RLIM_INFINITY)
        run.recovers(running)
        limit(running, LITTLE)
        run.fails(running)
        running.process.kill()
        running.process.wait()
    with run.start() as running:
        limit(running, LITTLE)
        run.fails(running, counts=None)
        limit(running, resource.RLIM_INFINITY)
        run.last(running)


@pytest.mark.prove
def test_a_store_that_is_damaged_while_it_runs(run: Run) -> None:
    """It serves what it had, leaves the file to the byte, and counts on once it is restored.

    From an older copy, which is moved over it in one step, it reads again what came since.
    """
    with run.start() as running:
        run.first(running)
        with paused(running, run.store):
            older = run.store.read_bytes()
        for damage in (cut, replace, remove, pages, empty):
            with paused(running, run.store):
                good = run.store.read_bytes()
                damage(run.store, good)
                bad = content(run.store)
            run.fails(running)
            assert content(run.store) == bad
            run.store.write_bytes(good)
            run.recovers(running)
        beside = run.store.with_suffix(".older")
        beside.write_bytes(older)
        beside.replace(run.store)
        run.last(running)


def test_a_store_that_is_damaged_when_it_starts(run: Run) -> None:
    """It serves without counters, leaves the file to the byte, and goes on once it is restored."""
    with run.start() as running:
        run.first(running)
        assert running.stop() == 0
    good = run.store.read_bytes()
    for damage in (cut, replace, pages):
        damage(run.store, good)
        bad = run.store.read_bytes()
        with run.start() as running:
            run.fails(running, counts=False)
            assert run.store.read_bytes() == bad
            if damage is pages:
                beside = run.store.with_suffix(".good")
                beside.write_bytes(good)
                beside.replace(run.store)
                run.last(running)
            else:
                assert running.stop() == 0
                assert run.store.read_bytes() == bad


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that somebody else can reach, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def test_a_directory_that_is_read_only(run: Run, open_to_all: Path) -> None:
    """What was open is written on; what is read-only at the start is used as soon as it is not."""
    run = Run(run.aws, open_to_all)
    run.store.parent.mkdir()
    if os.getuid() == 0:
        if subprocess.run([*AS_NOBODY, "true"], capture_output=True, check=False).returncode:
            pytest.skip("root may not start a process as somebody else")
        run.through = AS_NOBODY
        os.chown(run.store.parent, NOBODY, NOBODY)

    def allow(directory: int, file: int) -> None:
        run.store.chmod(file)
        run.store.parent.chmod(directory)

    with run.start() as running:
        run.first(running)
        allow(0o500, 0o400)
        run.recovers(running)
        assert running.stop() == 0
    allow(0o500, 0o600)
    with run.start() as running:
        run.fails(running, counts=None)
        assert running.stop() == 0
    allow(0o700, 0o400)
    with run.start() as running:
        run.fails(running, counts=None)
        allow(0o700, 0o600)
        run.last(running)


@contextmanager
def small_disk(path: Path) -> Iterator[Callable[[str], None]]:
    """A small disk of its own at the path; yields what mounts it anew with other options."""
    path.mkdir()

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        subprocess.run(command, check=True, capture_output=True)

    if os.getuid():
        pytest.skip("only root may mount")
    try:
        mount("size=3m")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.prove
def test_a_disk_that_is_full_and_one_that_is_read_only(run: Run) -> None:
    """Full while it runs and when it starts, then read-only when it starts: nothing is lost."""
    with small_disk(run.store.parent) as mount:
        ballast = run.store.parent / "ballast"
        with run.start() as running:
            run.first(running)
            fill(ballast)
            run.fails(running)
        with run.start() as running:
            run.fails(running, counts=None)
            ballast.unlink()
            run.recovers(running)
            assert running.stop() == 0
        mount("remount,ro")
        with run.start() as running:
            run.fails(running, counts=False)
            mount("remount,rw")
            run.last(running)


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_every_way_of_reading_goes_on(tmp_path: Path) -> None:
    """Log groups, files, notifications, queries: no room, then a cut file, and nothing is lost."""
    with simulator("--world", "mixed", "--no-clock", "--speed", "600") as aws:
        run = Run(aws, tmp_path)
        run.many = 20
        configure(aws, run.config)
        run.config.write_text(run.config.read_text().replace("interval: 10s", "interval: 500ms"))
        with run.start() as running:
            run.first(running)
            limit(running, LITTLE)
            run.fails(running)
            limit(running, resource.RLIM_INFINITY)
            run.recovers(running)
            with paused(running, run.store):
                good = run.store.read_bytes()
                cut(run.store, good)
                bad = run.store.read_bytes()
            run.fails(running)
            assert run.store.read_bytes() == bad
            run.store.write_bytes(good)
            run.last(running)
