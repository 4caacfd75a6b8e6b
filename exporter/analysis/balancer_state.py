"""Are a service's load balancers in working order, by what AWS says of them?

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerState.html
"""

from __future__ import annotations

from collections.abc import Sequence

from exporter.analysis.case import ServiceCase
from exporter.analysis.commands import at_provider
from exporter.analysis.judged import Judged, failed, warned
from exporter.analysis.phrases import some
from exporter.model import LoadBalancer

# States in which a load balancer takes no connection.
BROKEN = frozenset({"failed", "provisioning"})


def wrong_state(case: ServiceCase, balancers: Sequence[LoadBalancer]) -> Judged | None:
    """Return what is wrong with the states of load balancers; None where nothing is.

    One that is failed while another one works is lost redundancy: warn.
    """
    bad = [one for one in balancers if one.state in BROKEN]
    failing = [one for one in bad if one.state == "failed"]
    impaired = [one for one in balancers if one.state == "active_impaired"]
    first = failing or bad or impaired
    if not first:
        return None
    names = some(one.name for one in first)
    ids = [*(one.id for one in first), case.service.id]
    evidence = [
        f"DescribeLoadBalancers: State of {one.name} is {one.state}"
        + (f", {one.state_reason}" if one.state_reason else "")
        for one in (*bad, *impaired)
    ]
    works = ""
    if len(bad) < len(balancers) and bad:
        works = "; " + some(one.name for one in balancers if one not in bad) + " still works"
    if failing:
        fix = at_provider(case, before=f"EC2 console > Load balancers: create {names} anew.")
        summary = f"AWS could not set up the load balancer {names}{works}."
        every = len(failing) == len(balancers)
        return (failed if every else warned)(summary, ids, evidence, fix)
    if bad:
        return warned(f"The load balancer {names} is being set up{works}.", ids, evidence)
    return warned(
        f"The load balancer {names} is impaired: it still forwards, and AWS lacks the resources to "
        "make it larger.",
        ids,
        evidence,
        at_provider(
            case,
            before=f"Free addresses in the subnets of {names} (DescribeSubnets: "
            "AvailableIpAddressCount), or have AWS Support look at it.",
        ),
    )
