"""What the API answers while something is out of sight: never as if nothing were there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from exporter.model import Scope, Unavailable
from exporter.publisher import Publisher, Snapshot
from exporter.unseen import waiting as waiting_passes
from exporter.web.app import create_app
from exporter.world import CollectorStatus, World
from tests.worlds import NOW, SCOPE, fixed_world

Json = Any
NOWHERE = Scope("", "")
LISTS = ("endpoints", "services", "changes")
WHY = "GetCallerIdentity: cannot connect"


def answer(world: World, path: str) -> tuple[int, Json]:
    """Return the status and the body of one request."""
    found: Snapshot = replace(Publisher(lambda: NOW, dict, lambda: True).snapshot, world=world)
    transport = httpx.ASGITransport(app=create_app(lambda: found, "/metrics"))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return await client.get(path)

    response = asyncio.run(ask())
    return response.status_code, response.json()


def unreached() -> World:
    """A world of which nothing is known: STS could not be asked who this is."""
    status = CollectorStatus("accounts", NOWHERE, "", NOW, 1, None, {"own account": WHY})
    return World(NOW, "", "", collectors=(status,))


def waiting(collector: str) -> World:
    """A world in which one first pass has not ended."""
    return replace(fixed_world(), collectors=(), waiting=((collector, SCOPE, ""),))


@pytest.mark.parametrize("name", LISTS)
def test_an_account_that_cannot_be_reached(name: str) -> None:
    """No list is empty without the reason, though no account is known to name with it."""
    status, body = answer(unreached(), f"/api/v1/{name}")
    assert (status, body[name]) == (200, [])
    assert body["unavailable"] == [
        {
            "account": "",
            "region": "",
            "part": "accounts",
            "unavailable": f"own account: {WHY}",
            "outcome": "error",
            "last_seen": None,
        }
    ]


@pytest.mark.parametrize("name", LISTS)
def test_before_anything_has_begun(name: str) -> None:
    """The first answer of all says that nothing has been asked yet."""
    (hidden,) = answer(World(NOW, "", ""), f"/api/v1/{name}")[1]["unavailable"]
    assert (hidden["part"], hidden["unavailable"]) == ("accounts", "its first pass has not ended")


@pytest.mark.parametrize(
    ("collector", "hides"),
    [("inventory", set(LISTS)), ("changes", {"changes"}), ("dns", set())],
)
def test_a_first_pass_that_has_not_ended(collector: str, hides: set[str]) -> None:
    """It is named by the lists that may lack something because of it, and by no other."""
    found = {name: answer(waiting(collector), f"/api/v1/{name}")[1] for name in LISTS}
    parts = {name: [x["part"] for x in body["unavailable"]] for name, body in found.items()}
    assert {name for name, listed in parts.items() if collector in listed} == hides


@pytest.mark.parametrize("name", ["endpoints", "services"])
def test_what_may_be_there_is_not_called_absent(name: str) -> None:
    """503 with the reason while something may have the id; 404 where all was listed."""
    status, body = answer(unreached(), f"/api/v1/{name}/vpce-0")
    assert status == 503
    assert body["error"] == f"not known whether it is there: accounts: own account: {WHY}"
    assert len(body["unavailable"]) == 1
    assert answer(waiting("inventory"), f"/api/v1/{name}/vpce-0")[0] == 503
    assert answer(waiting("dns"), f"/api/v1/{name}/vpce-0") == (
        404,
        {"error": "not found", "unavailable": []},
    )


def test_a_listing_that_failed() -> None:
    """Only what that listing has may be there."""
    world = replace(fixed_world(), collectors=())
    denied: Unavailable[Any] = Unavailable("DescribeVpcEndpoints: denied", "denied")
    inventory = replace(world.estates[0].inventory, endpoints=denied)
    world = replace(world, estates=(replace(world.estates[0], inventory=inventory),))
    status, body = answer(world, "/api/v1/endpoints/vpce-0")
    assert (status, body["unavailable"][0]["outcome"]) == (503, "denied")
    assert answer(world, "/api/v1/services/vpce-0")[0] == 404


def test_a_resolver_is_called_one() -> None:
    """An address alone says nothing: the pass that waits is that of a resolver."""
    waits = replace(fixed_world(), waiting=(("dns", SCOPE, "10.1.0.2:53"), ("changes", SCOPE, "")))
    assert [x.part for x in waiting_passes(waits)] == ["dns (the resolver 10.1.0.2:53)", "changes"]


def test_changes_that_nobody_reads_say_so() -> None:
    """Where the collector is switched off an empty list does not mean that nothing changed."""
    world = replace(fixed_world(), off=frozenset({"changes"}))
    status, body = answer(world, "/api/v1/changes")
    assert status == 200
    assert [u["unavailable"] for u in body["unavailable"]] == [
        "the collector changes is switched off"
    ]
