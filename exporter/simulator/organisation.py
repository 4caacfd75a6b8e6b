"""The simulated organisation: three accounts, two Regions, one of everything that can go wrong.

The scenarios are declared in the modules beside this one, a table each.
"""

from __future__ import annotations

from exporter.simulator import (
    aws_services,
    history,
    organizations,
    scenarios_healthy,
    scenarios_network,
    scenarios_odd,
    scenarios_services,
    scenarios_states,
)
from exporter.simulator.builder import Builder
from exporter.simulator.stage import Stage
from exporter.simulator.state import ACCOUNT, REGION, Row, Where, World

MANAGEMENT = ACCOUNT
CONSUMER = "222233334444"
PROVIDER = "444455556666"
OTHER_REGION = "us-east-1"
ROLE = "privatelink-exporter"
# A zone's name means another zone in each account. Services are in the provider's zones b and c,
# endpoints in the consumer's a and b: the same zones, by their ids.
_ZONES = {
    MANAGEMENT: ((3, 1, 2), (6, 4, 2)),
    PROVIDER: ((1, 2, 3), (1, 2, 4)),
    CONSUMER: ((2, 3, 1), (2, 4, 1)),
}
_REGIONS = {
    REGION: "opt-in-not-required",
    OTHER_REGION: "opt-in-not-required",
    "eu-south-1": "not-opted-in",
}


def organisation(seed: int = 1) -> World:
    """Return the organisation, the same for the same seed but for the times of what is recent."""
    world = World(
        keys={"AKIAIOSFODNN7EXAMPLE": MANAGEMENT},
        roles={f"arn:aws:iam::{account}:role/{ROLE}" for account in (CONSUMER, PROVIDER)},
        accounts=[
            organizations.account(MANAGEMENT, "management", MANAGEMENT),
            organizations.account(CONSUMER, "consumer", MANAGEMENT),
            organizations.account(PROVIDER, "provider", MANAGEMENT),
            organizations.account("555566667777", "closed", MANAGEMENT, "SUSPENDED"),
        ],
        management=MANAGEMENT,
        regions=[region(name, status) for name, status in _REGIONS.items()],
    )
    management = Builder(world, seed, Where(MANAGEMENT, REGION))
    for account, numbers in _ZONES.items():
        for name, ids in zip((REGION, OTHER_REGION), numbers, strict=True):
            letters = "abc"
            short = {"eu-west-1": "euw1", "us-east-1": "use1"}[name]
            management.at(account, name).zones(
                *((f"{name}{letters[i]}", f"{short}-az{number}") for i, number in enumerate(ids))
            )
    stage = Stage(
        world,
        management,
        management.at(PROVIDER, REGION),
        management.at(CONSUMER, REGION),
        management.at(CONSUMER, OTHER_REGION),
    )
    stage.provider_vpc = stage.provider.vpc("10.200.0.0/16", "services", zones=3)
    stage.provider.flow_log(stage.provider_vpc, "/vpc/services")
    scenarios_services.declare(stage)
    scenarios_healthy.declare(stage)
    scenarios_odd.declare(stage)
    scenarios_states.declare(stage)
    scenarios_network.declare(stage)
    world.broken = {
        scenario.id: f"{scenario.name}: {scenario.summary}"
        for scenario in world.scenarios.values()
        if scenario.check
    }
    aws_services.offer(world)
    history.tell(world)
    return world


def region(name: str, status: str) -> Row:
    """Return the row of a Region."""
    return {
        "RegionName": name,
        "OptInStatus": status,
        "Endpoint": f"ec2.{name}.amazonaws.com",
    }
