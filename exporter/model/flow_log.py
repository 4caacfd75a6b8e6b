"""A flow log: what it records, of which interfaces, and where it delivers that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exporter.model.network import Interface

Action: TypeAlias = Literal["ACCEPT", "REJECT"]
ACTIONS: tuple[Action, ...] = ("ACCEPT", "REJECT")


@dataclass(frozen=True, slots=True)
class FlowLog:
    """A flow log as DescribeFlowLogs gives it; `aggregation` in seconds.

    `hive` and `per_hour` are how the paths of its files in S3 are made.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_FlowLog.html
    """

    id: str
    resource_id: str
    traffic_type: str
    destination_type: str
    destination: str
    format: str
    aggregation: int = 600
    status: str = "ACTIVE"
    delivery_status: str = ""
    delivery_error: str = ""
    created: float | None = None
    file_format: str = ""
    hive: bool = False
    per_hour: bool = False

    @property
    def delivers(self) -> bool:
        """False when it is not active or AWS says that delivery fails.

        AWS gives no delivery status before the first attempt: that is not a failure.
        """
        return self.status.upper() == "ACTIVE" and self.delivery_status.upper() in ("", "SUCCESS")

    def covers(self, interface: Interface) -> bool:
        """Whether the interface is logged: by its own id, its subnet's or its VPC's."""
        return self.resource_id in (interface.id, interface.subnet_id, interface.vpc_id)

    def logs(self, action: Action) -> bool:
        """Whether its traffic type includes the action."""
        return self.traffic_type.upper() in ("ALL", action)
