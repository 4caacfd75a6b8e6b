"""HTTP: what the publisher holds, as metrics and a page. A scrape computes and awaits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.model import Diagnosis, Scope
from exporter.publisher import Snapshot
from exporter.standing import ORDER, counts, reasons, standing, verdict
from exporter.web import lifecycle
from exporter.web.api import SECURITY, routes
from exporter.web.diagnosis import by_id
from exporter.web.endpoints import endpoints
from exporter.web.plain import Json
from exporter.web.services import services
from exporter.web.status import status


def create_app(
    snapshot: Callable[[], Snapshot],
    telemetry_path: str,
    reload: Callable[[], Awaitable[list[str]]] | None = None,
) -> Starlette:
    """Return the application; `snapshot` gives what was published last.

    `reload` reads the configuration again and returns what is wrong with it; None: not allowed.
    """
    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: resources.files("exporter.web").joinpath("templates", name).read_text()
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    landing_page = templates.get_template("landing.html")

    async def metrics(request: Request) -> Response:
        body = snapshot().exposition.negotiate(request.headers.get("accept", ""))
        headers = {"Content-Type": body.content_type, "Vary": "Accept, Accept-Encoding"}
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            return Response(body.gzip, headers={**headers, "Content-Encoding": "gzip"})
        return Response(body.plain, headers=headers)

    async def landing(_: Request) -> Response:
        return await asyncio.to_thread(page, snapshot())

    def page(current: Snapshot) -> Response:
        how = status(current)
        judged = by_id(current.diagnoses)

        def diagnosis(shown: Json) -> Diagnosis | None:
            return judged.get((Scope(shown["account"], shown["region"]), shown["id"]))

        def order(shown: Json) -> tuple[int, bool, str, str]:
            gravity = ORDER.index(standing(diagnosis(shown)))
            return gravity, _fine(shown), shown["account"], shown["name"] or shown["id"]

        text = landing_page.render(
            endpoints=sorted(endpoints(current), key=order),
            services=sorted(services(current), key=order),
            status=how,
            counts=counts(current.diagnoses),
            standing=lambda shown: standing(diagnosis(shown)),
            verdict=lambda shown: verdict(diagnosis(shown)),
            reasons=lambda shown: reasons(diagnosis(shown)),
            blind=[[c["account"], c["region"]] for c in how["collectors"] if not c["up"]],
            by_reason=_by_reason,
            telemetry_path=telemetry_path,
        )
        return HTMLResponse(text, headers=SECURITY)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("PrivateLink Exporter is healthy.\n")

    async def ready(_: Request) -> Response:
        current = snapshot()
        if current.ready:
            return PlainTextResponse("PrivateLink Exporter is ready.\n")
        waiting = "".join(f"waiting for {name}\n" for name in current.waiting_for or ("accounts",))
        return PlainTextResponse(f"Not ready.\n{waiting}", 503)

    return Starlette(
        routes=[
            Route("/", landing),
            Route(telemetry_path, metrics),
            *routes(snapshot),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/-/reload", lifecycle.endpoint(reload), methods=["POST", "PUT"]),
        ]
    )


def _fine(shown: Json) -> bool:
    """Whether it is available, and no name of it is odd: beside its equals it comes after those."""
    return shown["state"] == "available" and not any(x["problem"] for x in shown.get("dns", ()))


def _by_reason(problems: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what could not be seen for each reason: one that many share is said once."""
    found: dict[str, list[str]] = {}
    for what, why in problems.items():
        found.setdefault(why, []).append(what)
    return [
        (what[0] if len(what) == 1 else f"{what[0]} and {len(what) - 1} more", why)
        for why, what in found.items()
    ]


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header (RFC 9110 §12.5.3) allows gzip."""
    for item in accept_encoding.lower().split(","):
        coding, _, q = (part.strip() for part in item.partition(";"))
        if coding in ("gzip", "*"):
            return q.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
