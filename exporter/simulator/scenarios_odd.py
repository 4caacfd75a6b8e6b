"""Endpoints that look wrong and are right."""

from exporter.simulator.stage import Stage


def declare(stage: Stage) -> None:
    """Declare them."""
