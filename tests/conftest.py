"""Fixtures that more than one file uses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import settings

from exporter.simulator.organisation import organisation
from exporter.simulator.server import Simulator
from exporter.simulator.world import World, small_world

settings.register_profile("default", deadline=None, max_examples=60)
settings.load_profile("default")


@pytest.fixture
def world() -> World:
    return small_world()


@pytest.fixture
def simulated(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator of the small world in this process, without traffic, that boto3 is led to."""
    with leading(world, monkeypatch) as simulator:
        yield simulator


@pytest.fixture
def organised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator of the organisation in this process, without traffic, that boto3 is led to."""
    with leading(organisation(), monkeypatch) as simulator:
        yield simulator


@contextmanager
def leading(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Run a simulator of the world, and lead boto3 to it and nowhere else."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    simulator = Simulator(world)
    simulator.start(clock=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", simulator.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", next(iter(world.keys)))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "simulated")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    try:
        yield simulator
    finally:
        simulator.stop()


@pytest.fixture
def program() -> Callable[[str], str]:
    """Return the path of a program of Debian's; skips, with CI=true fails, when it is missing."""
    return found_program


def found_program(name: str) -> str:
    """Return the path of a program of Debian's; skips, with CI=true fails, when it is missing."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is missing: see what tests/programs.sh would install"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
