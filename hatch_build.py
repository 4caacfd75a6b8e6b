"""Compiles the C code that reads flow logs, where there is a compiler.

Elsewhere all is installed but that. A wheel with compiled code is of one platform, and of any
Python 3: ctypes loads it. An editable install finds it beside its source.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path(__file__).parent / "exporter" / "flowlogs" / "native"
NAME = "libscan.so"
FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared")


def compiler() -> list[str] | None:
    """Return the command of the C compiler: $CC, or cc; None where there is none."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else None


def build(target: Path, *flags: str) -> str | None:
    """Compile the library; return what went wrong, None where nothing did."""
    command = compiler()
    if not command:
        return "no C compiler"
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    compiled = [str(path) for path in sources if path.suffix == ".c"]
    # Written beside it, so that a process that has loaded an older one keeps it.
    new = target.with_suffix(".new")
    arguments = [*FLAGS, *flags, f'-DSOURCE_DIGEST="{digest}"', *compiled, "-o", str(new)]
    done = subprocess.run(  # noqa: S603  # whoever builds names the compiler
        [*command, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"{command[0]} failed: {(done.stderr.strip() or 'no message').splitlines()[0]}"
    try:
        ctypes.CDLL(str(new))
    except OSError as error:
        new.unlink()
        return f"what {command[0]} made cannot be loaded: {error}"
    new.replace(target)
    return None


class Hook(BuildHookInterface[Any]):
    """Adds the compiled code to wheels."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in which wheel the code goes; called before the wheel is written."""
        self._directory = tempfile.mkdtemp()
        editable = version == "editable"
        target = SOURCES / NAME if editable else Path(self._directory) / NAME
        problem = build(target)
        if problem:
            self.app.display_warning(
                f"Flow logs will be read by NumPy, several times slower: {problem}"
            )
            return
        if not editable:
            build_data["force_include"][str(target)] = f"exporter/flowlogs/native/{NAME}"
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"
            build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was only needed while the wheel was written."""
        shutil.rmtree(self._directory, ignore_errors=True)
