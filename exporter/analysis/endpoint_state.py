"""Is the endpoint available?

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpoint.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from exporter.analysis import associations
from exporter.analysis.case import EndpointCase, ServiceCase
from exporter.analysis.fixes import by_its_maker, ec2
from exporter.analysis.judged import Judged, failed, need, passed, unknown, warned
from exporter.analysis.phrases import age

# The name of a provider's service has its id and its Region.
_SERVICE = re.compile(r"com\.amazonaws\.vpce\.(?P<region>[a-z0-9-]+)\.(?P<id>vpce-svc-[0-9a-f]+)")
# How long AWS may take to create or change an endpoint, in seconds.
PATIENCE = 900.0
# Older than this, one that is pending has rather been changed than is being created: just now, it
# may be, and CloudTrail does not tell of it yet.
_OLD = 86400.0
_CHANGING = frozenset({"CreateVpcEndpoint", "ModifyVpcEndpoint"})


def judge(case: EndpointCase) -> Judged:
    """Judge the state that DescribeVpcEndpoints gives."""
    # Kept after a listing that failed, it is no longer the state.
    need(case.site.inventory.endpoints, "endpoints")
    state = case.endpoint.state
    if state == "available":
        return associations.broken(case) or passed("The endpoint is available.", [case.endpoint.id])
    judged = _STATES.get(state)
    if judged is None:
        word = case.endpoint.aws_state or state
        return unknown(f"AWS says that the endpoint is {word}, a state not known here.")
    return judged(case)


def _pending(case: EndpointCase) -> Judged:
    """Judge how long it has been pending: since it was created, or changed for the last time."""
    endpoint = case.endpoint
    changed = _changed(case)
    begun = max((at for at in (endpoint.created, changed) if at is not None), default=None)
    since = 0.0 if begun is None else case.now - begun
    evidence = _evidence(case)
    if begun is None:
        return unknown(
            "The endpoint is being created or changed; AWS does not say since when.",
            [endpoint.id],
            evidence,
        )
    # CloudTrail's moment of its creation may be seconds later.
    what = "changed" if changed and changed > (endpoint.created or 0.0) + 60 else "created"
    if since > _OLD and what == "created":
        return unknown(
            f"The endpoint, created {age(since)} ago, is pending: since when is not known. "
            "CloudTrail, which may be late by a quarter of an hour, tells of no change to it.",
            [endpoint.id],
            evidence,
        )
    if since > PATIENCE:
        return failed(
            f"The endpoint was {what} {age(since)} ago and is still pending.",
            [endpoint.id],
            evidence,
            _steps(
                _of_endpoint(case, "describe-vpc-endpoints"),
                by_its_maker(endpoint)
                or "Where nothing is changing it, delete it and create it anew, or ask AWS "
                "Support.",
            ),
        )
    return warned("The endpoint is being created or changed.", [endpoint.id], evidence)


def _changed(case: EndpointCase) -> float | None:
    """When somebody made or changed it, as far as CloudTrail tells: that makes it pending anew."""
    found = case.world.changes.get(case.endpoint.id, ())
    return max((c.at for c in found if c.outcome == "ok" and c.event in _CHANGING), default=None)


def _waits(case: EndpointCase) -> Judged:
    endpoint = case.endpoint
    since = "" if endpoint.created is None else f" for {age(case.now - endpoint.created)}"
    provider = case.provider
    own = _SERVICE.fullmatch(endpoint.service_name)
    fix: str | None
    if provider is None:
        ask = f"Ask the owner of {endpoint.service_name} to accept {endpoint.id}"
        command = own and _accept(own["region"], own["id"], endpoint.id)
        fix = _steps(f"{ask}; the owner runs:" if command else f"{ask}.", command)
    else:
        fix = _accepting(case, provider)
    return failed(
        f"The provider has not accepted the connection: it has waited{since}.",
        [endpoint.id, *([provider.service.id] if provider else [])],
        _evidence(case),
        fix,
    )


def _rejected(case: EndpointCase) -> Judged:
    endpoint = case.endpoint
    provider = case.provider
    fix: str | None
    if provider is None:
        fix = f"Ask the owner of {endpoint.service_name} why {endpoint.id} was rejected."
    else:
        fix = _accepting(case, provider)
    return failed(
        "The provider has rejected the connection.",
        [endpoint.id, *([provider.service.id] if provider else [])],
        _evidence(case),
        fix,
    )


def _failed(case: EndpointCase) -> Judged:
    endpoint = case.endpoint
    why = endpoint.failure_reason or endpoint.last_error
    return failed(
        "AWS could not create the endpoint" + (f": {why}" if why else "."),
        [endpoint.id],
        _evidence(case),
        by_its_maker(endpoint)
        or _steps(
            "Mend what AWS names, then delete the endpoint and create it anew:",
            _of_endpoint(case, "delete-vpc-endpoints"),
        ),
    )


def _expired(case: EndpointCase) -> Judged:
    endpoint, provider = case.endpoint, case.provider
    owner = (
        f"account {provider.scope.account}" if provider else f"the owner of {endpoint.service_name}"
    )
    return failed(
        "The request to connect has expired: the provider did not accept it in time.",
        [endpoint.id],
        _evidence(case),
        by_its_maker(endpoint)
        or _steps(
            "An expired request cannot be accepted any more. Create the endpoint anew, with the "
            f"same subnets and groups, have {owner} accept it, and remove this one:",
            _of_endpoint(case, "delete-vpc-endpoints"),
        ),
    )


_STATES: Mapping[str, Callable[[EndpointCase], Judged]] = {
    "pending": _pending,
    "pending_acceptance": _waits,
    "rejected": _rejected,
    "failed": _failed,
    "expired": _expired,
    "partial": associations.partial,
}


def _accepting(case: EndpointCase, provider: ServiceCase) -> str | None:
    """What the provider's account does to let the consumer in."""
    scope = provider.scope
    return _steps(
        f"In account {scope.account}, if this consumer is meant to connect:",
        _accept(scope.region, provider.service.id, case.endpoint.id),
    )


def _accept(region: str, service_id: str, endpoint_id: str) -> str | None:
    return ec2(
        region,
        "accept-vpc-endpoint-connections",
        *("--service-id", service_id),
        *("--vpc-endpoint-ids", endpoint_id),
        ids=[service_id, endpoint_id],
    )


def _of_endpoint(case: EndpointCase, operation: str) -> str | None:
    endpoint_id = case.endpoint.id
    return ec2(case.scope.region, operation, "--vpc-endpoint-ids", endpoint_id, ids=[endpoint_id])


def _steps(*lines: str | None) -> str | None:
    return "\n".join(filter(None, lines)) or None


def _evidence(case: EndpointCase) -> list[str]:
    endpoint = case.endpoint
    found = [f"DescribeVpcEndpoints: State {endpoint.aws_state or endpoint.state}"]
    found += [f"LastError: {endpoint.last_error}"] if endpoint.last_error else []
    found += [f"FailureReason: {endpoint.failure_reason}"] if endpoint.failure_reason else []
    return found
