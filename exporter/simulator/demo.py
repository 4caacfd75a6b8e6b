"""What `demo` needs: the simulator as a child process, a configuration for it, a guide to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from exporter.metrics import FLOW_RECORDS
from exporter.publisher import Snapshot
from exporter.simulator.organisation import ROLE
from exporter.simulator.state import REGION
from exporter.web.endpoints import endpoints
from exporter.web.services import services

# Fail where `demo` can say what to install, not in the child.
import_module("moto")
import_module("flask")


@dataclass(frozen=True, slots=True)
class Running:
    """A running simulator: how the daemon reaches it, and a directory that goes with it."""

    about: dict[str, Any]
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings of boto3 that lead to the simulator and nowhere else."""
        nothing = os.devnull
        return {
            "AWS_ENDPOINT_URL": self.about["url"],
            "AWS_ACCESS_KEY_ID": self.about["access_key"],
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": nothing,
            "AWS_SHARED_CREDENTIALS_FILE": nothing,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def config(self) -> str:
        """A configuration with intervals as short as the simulated delivery."""
        resolvers = "".join(
            f"      - {{address: '{r['address']}', vpcs: [{', '.join(r['vpcs'])}]}}\n"
            for r in self.about["resolvers"]
        )
        queues = ", ".join(f"'{url}'" for url in self.about["queues"])
        return (
            f"organization: {{role_name: {ROLE}, regions: all}}\n"
            "collectors:\n"
            "  inventory: {interval: 3s}\n"
            f"  dns:\n    interval: 5s\n    resolvers:\n{resolvers}"
            "  flow_logs:\n    interval: 2s\n    lookback: 5m\n"
            f"    notifications: [{queues}]\n"
            # What a real group of that name would cost is nobody's here.
            "    sources: {/insights/far: insights}\n    budget_dollars_per_day: 10\n"
            "metrics: {tag_labels: [team]}\n"
        )

    def guide(self, url: str, snapshot: Snapshot) -> None:
        """Print where to look, and what is broken on purpose beside what the daemon sees of it."""
        scenarios = self.about["scenarios"].values()
        right = sum(s["status"] == "pass" for s in scenarios)
        healthy = "1 other is healthy" if right == 1 else f"{right} others are healthy"
        lines = [
            "",
            "PrivateLink Exporter watches a simulated AWS organisation: three accounts in two",
            f"Regions, {len(endpoints(snapshot))} endpoints, {len(services(snapshot))} "
            "endpoint services, live traffic.",
            "",
            f"  {url}/                  endpoints and services at a glance",
            f"  {url}/metrics           what Prometheus scrapes",
            f"  {url}/api/v1/endpoints  the same as JSON; /ID for one with its evidence",
            f"  {url}/api/v1/services   the providers' side",
            f"  {url}/api/v1/changes    who changed what",
            f"  {url}/api/v1/status     how the collectors do",
            "",
            f"What is not in order on purpose ({healthy}); warn: it works still:",
            "",
        ]
        lines += _broken([s for s in scenarios if s["status"] != "pass"])
        fine = ", ".join(s["name"] for s in scenarios if s["status"] == "pass")
        lines += [
            "",
            "Healthy, some in odd ways:",
            "",
            *textwrap.wrap(
                fine, 90, break_on_hyphens=False, initial_indent="  ", subsequent_indent="  "
            ),
        ]
        lines += [
            "",
            "REJECTs arrive within seconds; in Prometheus:",
            f'  increase({FLOW_RECORDS.name}{{action="REJECT"}}[5m]) > 0',
            "",
            "Ctrl-C ends it.",
            "",
        ]
        sys.stdout.write("\n".join(lines))
        sys.stdout.flush()


def _broken(scenarios: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield two lines for each: its verdict, what it is, its name and id; and what is wrong."""
    width = max((len(scenario["name"]) for scenario in scenarios), default=0)
    for scenario in scenarios:
        label = f"  {scenario['status']:<7}  {scenario['kind']:<8}  "
        yield f"{label}{scenario['name']:<{width}}  {scenario['id']}"
        yield f"{'':<{len(label)}}{scenario['summary']}"


@contextmanager
def simulator(speed: float, seed: int) -> Generator[Running]:
    """Run the simulator as a child process for as long as the context lasts.

    Raises RuntimeError when it does not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="privatelink-exporter-demo-"))
    command = [
        sys.executable,
        "-m",
        "exporter.simulator",
        "--world",
        "organisation",
        "--speed",
        str(speed),
        "--seed",
        str(seed),
    ]
    # A session of its own: Ctrl-C is for the daemon, which then ends the child by closing stdin.
    child = subprocess.Popen(  # noqa: S603  # our own module, in our own Python
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator ended with code {child.wait()}")
        yield Running(json.loads(line), directory)
    finally:
        if child.stdin:
            child.stdin.close()
        try:
            child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()
        shutil.rmtree(directory, ignore_errors=True)
