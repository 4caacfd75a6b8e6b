"""The JSON API: read-only, and never an empty list where nothing could be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from exporter.publisher import Snapshot
from exporter.unseen import Unseen, unseen
from exporter.web import changes as followed
from exporter.web.endpoints import endpoint, endpoints
from exporter.web.plain import Json, hidden, rfc3339
from exporter.web.services import service, services
from exporter.web.status import status

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes(snapshot: Callable[[], Snapshot]) -> list[Route]:
    """Return the routes of `/api/v1/`; `snapshot` gives what was published last.

    Each answer names under `unavailable` what could not be listed: something may be there that is
    not shown. What is not found is 404 only where everything was listed, else 503: it may be there.
    A large estate takes long to write: not on the loop.
    """

    def several(name: str, listed: Callable[[Snapshot], list[Json]]) -> Handler:
        async def answer(_: Request) -> Response:
            current = snapshot()
            world = current.world

            def body() -> Response:
                found = {name: listed(current), "unavailable": hidden(unseen(world, [name]))}
                return JSONResponse(
                    {"generated_at": rfc3339(world.as_of), **found}, headers=SECURITY
                )

            return await asyncio.to_thread(body)

        return answer

    def one(name: str, find: Callable[[Snapshot, str], Json | None]) -> Handler:
        async def answer(request: Request) -> Response:
            current = snapshot()
            world = current.world
            found = await asyncio.to_thread(find, current, request.path_params["id"])
            if found is None:
                return _not_found(unseen(world, [name]))
            return JSONResponse({"generated_at": rfc3339(world.as_of), **found}, headers=SECURITY)

        return answer

    async def who_changed_what(_: Request) -> Response:
        world = snapshot().world

        def body() -> Response:
            found = {
                "generated_at": rfc3339(world.as_of),
                "changes": followed.changes(world),
                "unavailable": followed.blind(world),
            }
            return JSONResponse(found, headers=SECURITY)

        return await asyncio.to_thread(body)

    async def how_it_does(_: Request) -> Response:
        return JSONResponse(status(snapshot()), headers=SECURITY)

    return [
        Route("/api/v1/endpoints", several("endpoints", endpoints)),
        Route("/api/v1/endpoints/{id}", one("endpoints", endpoint)),
        Route("/api/v1/services", several("services", services)),
        Route("/api/v1/services/{id}", one("services", service)),
        Route("/api/v1/changes", who_changed_what),
        Route("/api/v1/status", how_it_does),
    ]


def _not_found(out_of_sight: Sequence[Unseen]) -> Response:
    """Return 404; 503 with the reason while something is out of sight that may have it."""
    error = "not found"
    if out_of_sight:
        first = out_of_sight[0]
        error = f"not known whether it is there: {first.part}: {first.reason}"
    body = {"error": error, "unavailable": hidden(out_of_sight)}
    return JSONResponse(body, 503 if out_of_sight else 404, headers=SECURITY)
