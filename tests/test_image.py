"""The container image, as far as it can be shown without an engine that builds it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest

from exporter import healthcheck
from exporter.cli import DEFAULT_ADDRESS
from tests.harness import free_port, until

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "deploy" / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: the word and the rest, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines()]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def last(word: str) -> str:
    """Return the argument of the last stage's only instruction of this name."""
    (rest,) = [rest for found, rest in stages()[-1] if found == word]
    return rest


def test_stages() -> None:
    """One stage builds, the other runs; both start from the same pinned slim Debian."""
    build, final = stages()
    image, _, name = build[0][1].partition(" AS ")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", image)
    assert final[0] == ("FROM", image)
    copied = [rest for word, rest in final if word == "COPY"]
    assert copied == [f"--from={name} /opt/privatelink-exporter /opt/privatelink-exporter"]
    assert not [word for word, _ in instructions() if word == "ADD"]
    python = re.search(r":(3\.\d+)", image)
    assert python
    assert f"Programming Language :: Python :: {python[1]}" in PROJECT["classifiers"]


def test_how_it_runs() -> None:
    """No shell, no root, the port of the flags, a health check that this package has."""
    entrypoint = json.loads(last("ENTRYPOINT"))
    assert entrypoint[0] in PROJECT["scripts"]
    assert json.loads(last("CMD")) == ["serve"]
    user, group = last("USER").split(":")
    assert int(user) >= 10000
    assert int(group) >= 10000
    assert last("EXPOSE") == DEFAULT_ADDRESS.removeprefix(":") == str(healthcheck.PORT)
    assert json.loads(last("VOLUME")) == [last("WORKDIR")]
    options, _, command = last("HEALTHCHECK").partition(" CMD ")
    assert "--timeout=" in options
    assert json.loads(command)[-2:] == ["-m", healthcheck.__name__]
    words = [word for word, _ in stages()[-1]]
    assert words.index("USER") > words.index("RUN")
    labels = re.findall(r"(org\.opencontainers\.image\.\w+)=", last("LABEL"))
    assert {label.rpartition(".")[2] for label in labels} >= {"title", "description", "licenses"}


def test_what_is_copied_is_there() -> None:
    """Every source of a COPY exists and is in the build context; so is nothing else."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = set()
    for word, rest in stages()[0]:
        if word == "COPY":
            *sources, _ = shlex.split(rest)
            copied |= {source.rstrip("/") for source in sources}
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)
    assert "*" in ignored


def pins(path: Path) -> dict[str, str]:
    """Return each requirement of a lock with its hashes."""
    entries = re.split(r"\n(?=\S)", path.read_text().strip())
    return {entry.split(" \\\n")[0]: entry for entry in entries}


@pytest.mark.parametrize("name", ["runtime", "demo", "build"])
def test_the_locks_are_parts_of_the_one(name: str) -> None:
    """The image's locks pin the versions and hashes that the tests run with, and no host."""
    whole, part = pins(ROOT / "requirements.lock"), pins(LOCKS / f"{name}.lock")
    assert part
    for requirement, entry in part.items():
        assert "--hash=sha256:" in entry
        # A marker may be wider where more asks for it; the version and the hashes are the same.
        version = requirement.split(" ;")[0]
        (same,) = [text for key, text in whole.items() if key.split(" ;")[0] == version]
        assert same.split("\\\n", 1)[1] == entry.split("\\\n", 1)[1]
    assert "://" not in (LOCKS / f"{name}.lock").read_text()


def test_the_runtime_lock_has_what_is_imported() -> None:
    """Every dependency of the project is in the image's lock; the tests' are not."""
    named = {re.split(r"[=\s]", requirement)[0] for requirement in pins(LOCKS / "runtime.lock")}
    wanted = {re.split(r"[=>\[]", d)[0] for d in PROJECT["dependencies"]}
    assert wanted <= named
    assert named.isdisjoint({"pytest", "mypy", "moto", "hatchling"})


def test_the_wheel_serves(tmp_path: Path) -> None:
    """The wheel has all the daemon needs, and writes to nothing but the storage path."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("exporter", "dashboards"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert {name.split("/")[0] for name in packed.namelist() if "dist-info" not in name} == {
            "exporter",
            "dashboards",
        }
    installed = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", installed, wheel], check=True)
    serves(installed / "bin" / "privatelink-exporter", installed, tmp_path)


def serves(program: Path, installed: Path, directory: Path) -> None:
    """Run an installed program, as the image does, where it may write to its volume alone."""
    work = directory / "work"
    work.mkdir(mode=0o555)
    before = {path: path.stat().st_mtime_ns for path in installed.rglob("*")}
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(installed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "unused",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    flags = [f"--web.listen-address=127.0.0.1:{port}", f"--storage.path={directory / 'volume'}"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "serve", *flags], cwd=work, env=environment, stdout=log, stderr=log
        )
    try:
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/").status_code == 200)
        assert healthcheck.problem(port) is None
        process.terminate()
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
        work.chmod(0o755)
    assert list(work.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in installed.rglob("*")} == before
    assert "Traceback" not in (directory / "log").read_text()


@pytest.mark.prove
@pytest.mark.parametrize("lock", ["runtime.lock", "demo.lock"])
def test_the_build_stage(lock: str, tmp_path: Path) -> None:
    """The commands of the build stage do what they should, in this host's Python."""
    context = tmp_path / "src"
    context.mkdir()
    for word, rest in stages()[0]:
        if word == "COPY":
            *sources, target = shlex.split(rest)
            for source in sources:
                to = context / target
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, to, dirs_exist_ok=True)
                else:
                    shutil.copy(ROOT / source, to)
        elif word == "RUN" and "apt-get" not in rest:  # this host has its own compiler
            command = rest.replace("/opt/", f"{tmp_path}/opt/")
            environment = {
                **os.environ,
                "LOCK": lock,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            }
            subprocess.run(["sh", "-euc", command], cwd=context, env=environment, check=True)
    venv = tmp_path / "opt" / "privatelink-exporter"
    (site,) = venv.glob("lib/python3*/site-packages")
    assert not (site / "pip").exists()
    assert (site / "exporter" / "flowlogs" / "native" / "libscan.so").exists()
    assert (site / "moto").exists() == (lock == "demo.lock")
    serves(venv / "bin" / "privatelink-exporter", site, tmp_path)
