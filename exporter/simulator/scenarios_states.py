"""Endpoints in every state but available."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from exporter.simulator import lattice
from exporter.simulator.stage import Stage


def declare(stage: Stage) -> None:
    """Declare an endpoint for each state, and for one that AWS has yet to invent."""
    vpc = stage.vpc("states")
    services = stage.services
    now = datetime.now(UTC).replace(microsecond=0)
    stage.endpoint(
        "awaiting-acceptance",
        vpc,
        services["ledger"],
        "The provider has not accepted the connection.",
        state="pendingAcceptance",
        created=now - timedelta(hours=3),
        check="endpoint_state",
        status="fail",
    )
    stage.endpoint(
        "rejected",
        vpc,
        services["guarded"],
        "The provider has rejected the connection.",
        state="rejected",
        check="endpoint_state",
        status="fail",
    )
    stage.endpoint(
        "failed",
        vpc,
        "sns",
        "The endpoint could not be created.",
        state="failed",
        error=("InsufficientFreeAddressesInSubnet", "The subnet has too few free addresses."),
        check="endpoint_state",
        status="fail",
    )
    stage.endpoint(
        "expired",
        vpc,
        services["ledger"],
        "The provider has let the request wait until it expired.",
        state="expired",
        check="endpoint_state",
        status="fail",
    )
    lattice.service_network(
        stage,
        vpc,
        "partial",
        "Some associations of a service network do not work.",
        failing=1,
        state="partial",
        check="endpoint_state",
        status="warn",
    )
    stage.endpoint(
        "stuck-pending",
        vpc,
        "sts",
        "Pending for an hour: fifteen minutes would be long.",
        state="pending",
        created=now - timedelta(hours=1),
        check="endpoint_state",
        status="fail",
    )
    stage.endpoint("deleting", vpc, "ssm", "Is being deleted.", state="deleting")
    stage.endpoint(
        "unknown-state",
        vpc,
        "ec2",
        "A state that AWS has added since.",
        state="migrating",
        check="endpoint_state",
        status="unknown",
    )
