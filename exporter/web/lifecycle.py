"""`/-/reload`: reading the configuration again because somebody asks for it over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.log import clean


def endpoint(
    reload: Callable[[], Awaitable[list[str]]] | None,
) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers `/-/reload`.

    `reload` reads the configuration again and returns what is wrong with it; None: not allowed.
    """

    async def answer(request: Request) -> Response:
        if reload is None:
            return PlainTextResponse(
                "The lifecycle API is not enabled: start with --web.enable-lifecycle.\n", 403
            )
        if _from_a_page(request):
            return PlainTextResponse(
                "A reload is asked for by a person or a program, not by a web page.\n", 403
            )
        errors = await reload()
        if errors:
            said = "".join(f"{clean(error)}\n" for error in errors)
            return PlainTextResponse(f"Refused; what was in force stays.\n{said}", 500)
        return PlainTextResponse("Reloaded.\n")

    return answer


def _from_a_page(request: Request) -> bool:
    """Whether a browser sent this for a page, of whatever site: none of ours does.

    Browsers put Origin on every POST and PUT (Fetch standard §3.2), and Sec-Fetch-Site: none on
    what a person typed. A page's own origin is refused too: its name may have been led to this
    address (DNS rebinding).
    """
    headers = request.headers
    return "origin" in headers or headers.get("sec-fetch-site", "none") != "none"
