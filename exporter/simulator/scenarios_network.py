"""Endpoints whose names, rules or routes are wrong."""

from exporter.simulator.stage import Stage


def declare(stage: Stage) -> None:
    """Declare them."""
