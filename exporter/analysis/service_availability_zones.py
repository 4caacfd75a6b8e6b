"""Is there a load balancer in every zone that the service offers?

https://docs.aws.amazon.com/vpc/latest/privatelink/create-endpoint-service.html#considerations-endpoint-services
"""

from __future__ import annotations

from exporter.analysis.case import ServiceCase
from exporter.analysis.commands import at_provider
from exporter.analysis.judged import Judged, Unseen, need, not_applicable, passed, warned
from exporter.analysis.phrases import some
from exporter.model.zones import UNKNOWN


def judge(case: ServiceCase) -> Judged:
    """Judge the service's zones; a consumer's own are compared by the check of its endpoint."""
    if case.consumer is not None:
        return not_applicable("The endpoint's own zones are compared with the service's.")
    need(case.site.inventory.services, "services")
    service = case.service
    balancers = case.around.behind.balancers(service)
    if not balancers:
        return not_applicable("The service has no load balancer.")
    if service.zone_ids:
        offered = set(service.zone_ids)
        there = {z for b in balancers for z in case.around.zones.of_load_balancer(b)}
        if UNKNOWN in there:
            need(case.site.inventory.subnets, "subnets")
            raise Unseen("zones of the load balancers: their subnets were not listed")
    else:
        # Names mean the same zones within one account.
        offered = set(service.zones)
        there = {zone.zone for balancer in balancers for zone in balancer.zones}
    missing = sorted(offered - there)
    ids = [service.id, *(balancer.id for balancer in balancers)]
    evidence = [
        f"DescribeVpcEndpointServiceConfigurations: {some(sorted(offered)) if offered else 'none'}",
        f"DescribeLoadBalancers: {some(sorted(there)) if there else 'none'}",
    ]
    if missing:
        names = some(balancer.name for balancer in balancers)
        return warned(
            f"The service offers {some(missing)}, where its load balancer {names} is not: "
            "endpoints there lead nowhere.",
            ids,
            evidence,
            at_provider(
                case,
                before=f"EC2 console > Load balancers > {balancers[0].name} > Network mapping > "
                f"Edit subnets: add a subnet in {some(missing)}.",
            ),
        )
    where = some(sorted(offered)) if offered else "no zone"
    only = ", the only one" if len(offered) == 1 else ""
    return passed(
        f"The load balancers are in every zone that the service offers: {where}{only}.",
        ids,
        evidence,
    )
