"""The landing page: what is in trouble first, and why."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from itertools import pairwise

import httpx

from exporter.model import Diagnosis, Finding, Status
from exporter.publisher import Publisher, Snapshot
from exporter.web.app import create_app
from exporter.world import CollectorStatus, World
from tests.worlds import ENDPOINT, NOW, PENDING, SCOPE, SERVICE, diagnosis, fixed_world

SAID: dict[Status, str] = {
    "pass": "All is well.",
    "warn": "Only one zone is left.",
    "fail": "Nobody is let in.",
    "unknown": "It was denied.",
    "not_applicable": "It is being deleted.",
}


def page(*diagnoses: Diagnosis, world: World | None = None) -> str:
    """Return the landing page of a world, the fixed one where none is given, judged like that."""
    found: Snapshot = replace(
        Publisher(lambda: NOW, dict, lambda: True).snapshot,
        world=world or fixed_world(),
        diagnoses=diagnoses,
    )
    transport = httpx.ASGITransport(app=create_app(lambda: found, "/metrics"))

    async def ask() -> str:
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return (await client.get("/")).text

    return asyncio.run(ask())


def found(check: str, status: Status) -> Finding:
    return Finding(check, status, SAID[status])


def text(html: str) -> str:
    """Return what a reader sees."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_warning_is_shown() -> None:
    """A pass with warnings says how many there are, and what of; a plain pass has none."""
    warned = diagnosis(ENDPOINT, found("route", "pass"), found("private_dns", "warn"))
    shown = text(page(warned, diagnosis(SERVICE, found("acceptance", "pass"))))
    assert "pass, 1 warning private_dns: Only one zone is left." in shown
    assert "1 warn, 1 pass" in shown


def test_what_is_unknown_says_why() -> None:
    """The first reason stands beside the verdict."""
    blind = diagnosis(ENDPOINT, found("route", "unknown"), found("network_acl", "unknown"))
    shown = text(page(blind))
    assert "unknown route: It was denied." in shown
    assert "network_acl:" not in shown


def test_trouble_comes_first() -> None:
    """What fails, what is unknown, what has warnings, what passes, what is not judged."""
    order: tuple[Status, ...] = ("fail", "unknown", "warn", "pass", "not_applicable")
    for worse, better in pairwise(order):
        for first, second in ((ENDPOINT, PENDING), (PENDING, ENDPOINT)):
            shown = page(
                diagnosis(first, found("route", worse)), diagnosis(second, found("route", better))
            )
            places = [shown.index(f"/endpoints/{x.id}") for x in (first, second)]
            assert places == sorted(places), (worse, better)


def test_how_many_there_are() -> None:
    """One line on top counts endpoints and services together."""
    shown = text(
        page(
            diagnosis(ENDPOINT, found("route", "fail"), found("private_dns", "warn")),
            diagnosis(PENDING, found("route", "not_applicable")),
            diagnosis(SERVICE, found("nlb_targets", "warn")),
        )
    )
    assert "1 fail, 1 warn, 1 not judged" in shown


def test_a_resolver_that_fails_is_called_one() -> None:
    """What cannot see everything is named: a resolver as one, not by its address alone."""
    status = CollectorStatus("dns", SCOPE, "10.1.0.2:53", NOW, 1, None, {"pass": "no answer"})
    shown = text(page(world=replace(fixed_world(), collectors=(status,))))
    assert (
        "dns cannot see everything in 111122223333, eu-west-1 (the resolver 10.1.0.2:53)" in shown
    )
