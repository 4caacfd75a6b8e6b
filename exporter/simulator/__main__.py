"""The simulator as a process: prints one line of JSON about itself, ends when stdin does."""

from __future__ import annotations

import argparse
import json
import resource
import sys
from dataclasses import asdict

from exporter.simulator.estate import estate
from exporter.simulator.organisation import organisation
from exporter.simulator.server import Simulator
from exporter.simulator.state import World
from exporter.simulator.world import mixed_world, small_world


def main() -> None:
    """Run until standard input ends: so it never outlives who started it."""
    parser = argparse.ArgumentParser(prog="python -m exporter.simulator", description=__doc__)
    parser.add_argument(
        "--world", choices=("small", "mixed", "organisation", "estate"), default="small"
    )
    large = parser.add_argument_group("the estate")
    large.add_argument("--accounts", type=int, default=50)
    large.add_argument("--regions", type=int, default=3)
    large.add_argument("--endpoints", type=int, default=250, help="in each account and Region")
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each call takes")
    parser.add_argument("--late", type=float, default=0.0, help="how likely a line is late")
    parser.add_argument("--no-clock", action="store_true", help="make no traffic yet")
    arguments = parser.parse_args()
    world = _world(arguments)
    simulator = Simulator(world, arguments.speed, arguments.seed, arguments.latency, arguments.late)
    # The estate has no traffic, and a clock would say so for each of its interfaces.
    simulator.start(clock=not arguments.no_clock and arguments.world != "estate")
    sys.stdout.write(json.dumps(_about(simulator)) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    simulator.stop()


def _world(arguments: argparse.Namespace) -> World:
    if arguments.world == "organisation":
        return organisation(arguments.seed)
    if arguments.world == "estate":
        _allow_many_sockets()
        return estate(arguments.accounts, arguments.regions, arguments.endpoints, arguments.seed)
    return (
        mixed_world(arguments.seed) if arguments.world == "mixed" else small_world(arguments.seed)
    )


def _allow_many_sockets() -> None:
    """Each VPC's resolver needs two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _about(simulator: Simulator) -> dict[str, object]:
    world = simulator.world
    return {
        "url": simulator.url,
        "dns_port": simulator.dns_port,
        "resolvers": simulator.resolvers(),
        "queues": simulator.queues(),
        "access_key": next(iter(world.keys)),
        "vpc_ids": world.vpc_ids(),
        "broken": world.broken,
        "scenarios": {name: asdict(scenario) for name, scenario in world.scenarios.items()},
    }


if __name__ == "__main__":
    main()
