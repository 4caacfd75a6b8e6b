"""Diagnosis: what is wrong with each endpoint and service, by pure functions over the facts.

A check is one function of a case; the order of the lists is causal: what comes first explains what
comes later. Of checks that fail the first is the root cause, but for EXPLAINED_BY.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.analysis import (
    acceptance,
    availability_zones,
    connectivity,
    dns_resolution,
    endpoint_policy,
    endpoint_state,
    flow_log_coverage,
    flow_rejects,
    network_acl,
    nlb_listener,
    nlb_security_group,
    nlb_targets,
    private_dns,
    route,
    security_group,
    service_availability_zones,
    service_flow_log_coverage,
    service_private_dns,
    service_state,
    target_security_group,
)
from exporter.analysis.case import WITH_INTERFACES as INTERFACES
from exporter.analysis.case import WITH_NAMES as NAMES
from exporter.analysis.case import C, Check, EndpointCase, ServiceCase, World, tell
from exporter.analysis.changes import with_changes
from exporter.model import Diagnosis, Facts, Finding

ENDPOINT_CHECKS: tuple[Check[EndpointCase], ...] = (
    Check("endpoint_state", endpoint_state.judge),
    Check("private_dns", private_dns.judge, NAMES),
    Check("dns_resolution", dns_resolution.judge, NAMES, "dns"),
    Check("security_group", security_group.judge, NAMES | {"Gateway"}),
    Check("network_acl", network_acl.judge, NAMES | {"Gateway"}),
    Check("route", route.judge),
    Check("availability_zones", availability_zones.judge, INTERFACES),
    Check("endpoint_policy", endpoint_policy.judge),
)
# What is seen of a connection at its end: whatever is wrong at the provider explains it.
SYMPTOMS: tuple[Check[EndpointCase], ...] = (
    Check("connectivity", connectivity.judge, NAMES, "connectivity"),
    Check("flow_rejects", flow_rejects.judge, INTERFACES, "flow_logs"),
    Check("flow_log_coverage", flow_log_coverage.judge, INTERFACES, "flow_logs"),
)
# A Gateway Load Balancer has a listener for everything, and no security group.
_NLB = frozenset({"Interface"})
SERVICE_CHECKS: tuple[Check[ServiceCase], ...] = (
    Check("service_state", service_state.judge),
    Check("service_private_dns", service_private_dns.judge),
    Check("acceptance", acceptance.judge),
    Check("nlb_listener", nlb_listener.judge, _NLB),
    Check("nlb_targets", nlb_targets.judge),
    Check("nlb_security_group", nlb_security_group.judge, _NLB),
    Check("target_security_group", target_security_group.judge),
    Check("availability_zones", service_availability_zones.judge),
    Check("flow_log_coverage", service_flow_log_coverage.judge, collector="flow_logs"),
)
# What is told of later and yet explains a check, where both fail: targets that do not let the load
# balancer in are unhealthy for that.
EXPLAINED_BY = {"nlb_targets": "target_security_group"}
# What of a service's findings its consumers' endpoints show too.
_SHOWN = ("fail", "warn", "unknown")

__all__ = ["INTERFACES", "NAMES", "Check", "diagnose"]


def diagnose(facts: Facts) -> tuple[Diagnosis, ...]:
    """Return what is judged of every endpoint, then of every service, by account, Region and id."""
    world = World(facts)
    return (*map(endpoint, world.endpoints()), *map(service, world.services()))


def endpoint(case: EndpointCase) -> Diagnosis:
    """Return the diagnosis of an endpoint, with what fails at its provider where that is seen."""
    of = case.endpoint
    provider = case.provider
    behind: Iterable[Finding] = ()
    hidden = case.world.hidden_provider(case)
    if provider and not case.gone:
        shown = (f for f in _run(SERVICE_CHECKS, provider) if f.status in _SHOWN)
        behind = _explained(tuple(shown), provider)
    elif hidden and not case.gone:
        behind = (Finding("service_state", "unknown", f"The service cannot be seen: {hidden}."),)
    own = _explained(tuple(_run(ENDPOINT_CHECKS, case)), case)
    checks = (*own, *behind, *_explained(tuple(_run(SYMPTOMS, case)), case))
    return Diagnosis(
        case.scope,
        of.id,
        "endpoint",
        of.name,
        of.service_name,
        of.vpc_id,
        checks,
        root_cause(checks),
    )


def service(case: ServiceCase) -> Diagnosis:
    """Return the diagnosis of an endpoint service."""
    of = case.service
    checks = _explained(tuple(_run(SERVICE_CHECKS, case)), case)
    return Diagnosis(
        case.scope, of.id, "service", of.name, of.service_name, "", checks, root_cause(checks)
    )


def _run(checks: Iterable[Check[C]], case: C) -> Iterator[Finding]:
    return (check(case) for check in checks)


def root_cause(checks: Iterable[Finding]) -> Finding | None:
    """Return the failing check that explains the others: the first, or else what explains that.

    None without one.
    """
    failing = [finding for finding in checks if finding.status == "fail"]
    first = next(iter(failing), None)
    reason = EXPLAINED_BY.get(first.check) if first else None
    return next((finding for finding in failing if finding.check == reason), first)


def _explained(
    checks: tuple[Finding, ...], case: EndpointCase | ServiceCase
) -> tuple[Finding, ...]:
    """Return the findings with the changes that may be the reason; as they are where that breaks.

    Evidence that cannot be given must not take the verdict away.
    """
    try:
        return with_changes(checks, case)
    except Exception as bug:  # noqa: BLE001  # told
        tell("changes", bug)
        return checks
