"""What CloudTrail has of the time before the simulation began."""

from exporter.simulator.state import World


def tell(world: World) -> None:
    """Record it."""
