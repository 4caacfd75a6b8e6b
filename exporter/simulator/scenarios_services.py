"""The provider's services: what stands behind them, and one fault each."""

from __future__ import annotations

from exporter.simulator.providers import HEALTH_PORT
from exporter.simulator.stage import Stage


def declare(stage: Stage) -> None:
    """Declare the services."""
    service = stage.service
    service(
        "orders",
        "Two zones, cross-zone off, every target healthy.",
        private_name="orders.example.com",
        consumer="222233334444",
        regions=("eu-west-1", "us-east-1"),
    )
    service(
        "inspection",
        "A Gateway Load Balancer's service.",
        kind="GatewayLoadBalancer",
    )
    service(
        "ledger",
        "A connection waits to be accepted.",
        acceptance=True,
        check="acceptance",
        status="warn",
    )
    service(
        "guarded",
        "Accepts by hand; nothing waits.",
        acceptance=True,
    )
    service(
        "private-dns-pending",
        "Nobody has proved that the private name is the provider's: pendingVerification.",
        private_name="pending.example.com",
        private_state="pendingVerification",
        check="service_private_dns",
        status="warn",
    )
    service(
        "private-dns-failed",
        "The proof of the private name has gone: connections with private DNS are refused.",
        private_name="failed.example.com",
        private_state="failed",
        check="service_private_dns",
        status="fail",
    )
    service(
        "no-listener",
        "The load balancer has no listener at all.",
        listener=None,
        check="nlb_listener",
        status="fail",
    )
    service(
        "wrong-listener",
        "The load balancer listens on 8443, the clients come to 443.",
        listener=8443,
        check="nlb_listener",
        status="fail",
    )
    service(
        "zone-without-targets",
        "One zone has no healthy target and cross-zone is off: the other zone still answers.",
        unhealthy=(0,),
        check="nlb_targets",
        status="warn",
    )
    service(
        "all-unhealthy",
        "No target is healthy in any zone.",
        unhealthy=(0, 1),
        check="nlb_targets",
        status="fail",
    )
    service(
        "nlb-closed",
        "The load balancer's security group is enforced on PrivateLink and lacks the clients.",
        balancer_ingress=[("tcp", 443, "10.250.0.0/16")],
        check="nlb_security_group",
        status="fail",
    )
    service(
        "target-closed",
        "The targets let the health check in from the load balancer, and not the traffic.",
        target_ingress=[("tcp", HEALTH_PORT, "10.200.0.0/16")],
        check="target_security_group",
        status="fail",
    )
    service(
        "service-failed",
        "The service's state is Failed.",
        state="Failed",
        check="service_state",
        status="fail",
    )
    service("service-deleting", "The service is being deleted.", state="Deleting")
