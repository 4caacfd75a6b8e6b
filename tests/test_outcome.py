"""What of a run was asked for, and the exit code that says how it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.model import Diagnosis, DnsName, Finding, Known, Status, Unavailable
from exporter.outcome import outcome
from exporter.publisher import Publisher, Snapshot
from exporter.report import out_of_sight
from exporter.world import CollectorStatus, World
from tests.worlds import ENDPOINT, NOW, PENDING, SCOPE, SERVICE, diagnosis, fixed_world

DENIED: Unavailable[Any] = Unavailable("DescribeVpcEndpoints: UnauthorizedOperation", "denied")


def judged(name: str, number: int, status: Status = "pass") -> Diagnosis:
    endpoint = replace(ENDPOINT, id=f"vpce-0a{number}", tags={"Name": name} if name else {})
    return diagnosis(endpoint, Finding("endpoint_state", status, "…"))


ORDERS, PAYMENTS, NAMELESS = judged("orders", 1), judged("payments", 2, "fail"), judged("", 3)
UNKNOWN = judged("ledger", 4, "unknown")
ALL = (ORDERS, PAYMENTS, NAMELESS, UNKNOWN)


def snapshot(*diagnoses: Diagnosis, **more: Any) -> Snapshot:
    """A ready snapshot of a world in which everything could be listed."""
    found = Publisher(lambda: NOW, dict, lambda: True).snapshot
    return replace(found, **{"world": fixed_world(), "diagnoses": diagnoses, "ready": True, **more})


def denied() -> World:
    """The same world, whose endpoints could not be listed."""
    world = fixed_world()
    inventory = replace(world.estates[0].inventory, endpoints=DENIED)
    return replace(world, estates=(replace(world.estates[0], inventory=inventory),))


def unreached() -> World:
    """The same world, in which an account could not be reached."""
    problem = {"own account": "GetCallerIdentity: ExpiredToken"}
    status = CollectorStatus("accounts", SCOPE, "", NOW, 1, None, problem)
    return replace(fixed_world(), collectors=(status,))


def late(collector: str) -> World:
    """The same world, in which a first pass has not ended."""
    return replace(fixed_world(), waiting=((collector, SCOPE, ""),))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], ALL),
        (["vpce-0a1"], (ORDERS,)),
        (["payments"], (PAYMENTS,)),
        (["payments", "vpce-0a1", "vpce-0a2"], (ORDERS, PAYMENTS)),
        (["Payments"], (PAYMENTS,)),
        (["VPCE-0A1"], (ORDERS,)),
        ([""], ()),
        (["vpce-0a"], ()),
        (["vpce-0a10"], ()),
    ],
    ids=[
        "all",
        "id",
        "name",
        "each once",
        "other case",
        "id in other case",
        "no name",
        "how several begin",
        "longer than an id",
    ],
)
def test_what_is_asked_for(wanted: list[str], found: tuple[Diagnosis, ...]) -> None:
    """An id or a tag Name, each found once, in the order of the diagnoses."""
    assert outcome(snapshot(*ALL), wanted).results == found


def test_a_name_that_several_have() -> None:
    """All of them are meant."""
    twin = replace(ORDERS, id="vpce-0a9", scope=replace(SCOPE, region="us-east-1"))
    assert outcome(snapshot(ORDERS, twin), ["orders"]).results == (ORDERS, twin)


def test_exact_goes_first() -> None:
    """Another case is looked at only where nothing is written like that."""
    shouted = judged("ORDERS", 8, "fail")
    assert outcome(snapshot(ORDERS, shouted), ["orders"]).results == (ORDERS,)
    assert outcome(snapshot(ORDERS, shouted), ["Orders"]).results == (ORDERS, shouted)


def test_the_beginning_of_an_id() -> None:
    """It will do where it is no other's."""
    long = diagnosis(replace(ENDPOINT, id="vpce-0b77"), Finding("endpoint_state", "pass", "…"))
    assert outcome(snapshot(*ALL, long), ["vpce-0b"]).results == (long,)
    missing = outcome(snapshot(*ALL, long), ["vpce-0"]).missing[0]
    assert missing.close == ("vpce-0a1", "vpce-0a2", "vpce-0a3", "vpce-0a4", "vpce-0b77")


FIRST, SECOND, OFFER = (
    diagnosis(of, Finding("endpoint_state", "pass", "…")) for of in (ENDPOINT, PENDING, SERVICE)
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("vpc-0a1", (FIRST, SECOND)),
        ("com.amazonaws.eu-west-1.sqs", (FIRST,)),
        ("com.amazonaws.vpce.eu-west-1.vpce-svc-0a1", (OFFER,)),
        ("sqs.eu-west-1.amazonaws.com", (FIRST,)),
        ("SQS.eu-west-1.amazonaws.com.", (FIRST,)),
        ("payments.example.com", (OFFER,)),
        ("10.1.0.10", (FIRST,)),
        ("10.1.0.1", ()),
        ("vpc-0a", ()),
    ],
)
def test_all_that_belong(name: str, found: tuple[Diagnosis, ...]) -> None:
    """A VPC, a service's name, a DNS name, an address stand for what belongs to them: exactly."""
    assert outcome(snapshot(FIRST, SECOND, OFFER), [name]).results == found


def test_a_name_under_a_wildcard() -> None:
    """A private name with a wildcard has every name under it."""
    world = fixed_world()
    wild = replace(ENDPOINT, dns_names=(DnsName("*.s3.example.com", "private"),))
    inventory = replace(world.estates[0].inventory, endpoints=Known({wild.id: wild}, NOW))
    world = replace(world, estates=(replace(world.estates[0], inventory=inventory),))
    assert outcome(snapshot(FIRST, world=world), ["b.s3.example.com"]).results == (FIRST,)


def test_what_belongs_may_be_out_of_sight() -> None:
    """Where a listing failed more may belong to a VPC; an id that was found is that one."""
    found = snapshot(FIRST, SECOND, world=denied())
    assert (outcome(found, ["vpc-0a1"]).code, outcome(found, ["vpce-0a1"]).code) == (3, 0)


def test_what_is_like_a_name_that_is_not_there() -> None:
    """A name that is part of one, or almost one, is answered with that."""
    (missing,) = outcome(snapshot(*ALL), ["Paymnts", "orders"]).missing
    assert (missing.wanted, missing.close) == ("Paymnts", ("payments",))
    (missing,) = outcome(snapshot(*ALL), ["MENT"]).missing
    assert missing.close == ("payments",)


@pytest.mark.parametrize(
    ("found", "wanted", "code"),
    [
        (snapshot(ORDERS, NAMELESS), [], 0),
        (snapshot(), [], 0),
        (snapshot(*ALL), [], 1),
        (snapshot(ORDERS, UNKNOWN), [], 3),
        (snapshot(*ALL), ["orders"], 0),
        (snapshot(*ALL), ["orders", "ledger"], 3),
        (snapshot(*ALL), ["nothing"], 2),
        (snapshot(*ALL), ["payments", "nothing"], 2),
        (snapshot(*ALL, world=denied()), ["nothing"], 3),
        (snapshot(*ALL, world=denied()), ["payments", "nothing"], 1),
        (snapshot(*ALL, world=denied()), ["orders"], 0),
        (snapshot(ORDERS, world=denied()), [], 3),
        (snapshot(ORDERS, world=unreached()), [], 3),
        (snapshot(ORDERS, world=late("inventory")), [], 3),
        (snapshot(ORDERS, world=late("dns")), [], 3),
        (snapshot(ORDERS, world=late("inventory")), ["nothing"], 3),
        (snapshot(ORDERS, world=late("dns")), ["nothing"], 2),
        (snapshot(ready=False, world=World(NOW, "", "")), [], 3),
    ],
    ids=[
        "all pass", "nothing there", "one fails", "one unknown", "asked for and passes",
        "asked for and unknown", "no such name", "no such name beside one that fails",
        "may be where it is denied", "that, and one fails", "found, whatever else is denied",
        "all, and a listing is denied", "all, and an account is out of reach",
        "all, and a pass has not ended", "another pass", "may be where nothing is listed yet",
        "no pass is left that lists", "nothing has ended",
    ],
)  # fmt: skip
def test_the_exit_code(found: Snapshot, wanted: list[str], code: int) -> None:
    """0 pass, 1 fails, 2 no such name, 3 not everything that was asked for could be seen."""
    assert outcome(found, wanted).code == code


def test_what_could_not_be_seen_is_named() -> None:
    """The account, the Region, the listing and AWS's reason; or the pass that has not ended."""
    waiting = replace(denied(), waiting=(("inventory", SCOPE, ""),))
    found = outcome(snapshot(ORDERS, world=waiting), [])
    assert [out_of_sight(one) for one in found.unseen] == [
        "111122223333 eu-west-1 endpoints: DescribeVpcEndpoints: UnauthorizedOperation",
        "111122223333 eu-west-1 inventory: the time ran out before its first pass had ended "
        "(--timeout)",
    ]
    (account,) = outcome(snapshot(ORDERS, world=unreached()), []).unseen
    assert out_of_sight(account) == (
        "111122223333 eu-west-1 accounts: own account: GetCallerIdentity: ExpiredToken"
    )
