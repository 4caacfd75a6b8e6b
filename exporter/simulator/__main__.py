"""The simulator as a process: prints one line of JSON about itself, ends when stdin does."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from exporter.simulator.server import Simulator
from exporter.simulator.world import demo_world


def main() -> None:
    """Run until standard input ends: so it never outlives who started it."""
    parser = argparse.ArgumentParser(prog="python -m exporter.simulator", description=__doc__)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-clock", action="store_true", help="make no traffic yet")
    arguments = parser.parse_args()
    world = demo_world(arguments.seed)
    simulator = Simulator(world, arguments.speed, arguments.seed)
    simulator.start(clock=not arguments.no_clock)
    about = {
        "url": simulator.url,
        "dns_port": simulator.dns_port,
        "access_key": next(iter(world.keys)),
        "vpc_ids": world.vpc_ids(),
        "broken": world.broken,
        "resolvers": simulator.resolvers(),
        "scenarios": {name: asdict(s) for name, s in world.scenarios.items()},
    }
    sys.stdout.write(json.dumps(about) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    simulator.stop()


if __name__ == "__main__":
    main()
