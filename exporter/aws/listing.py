"""One pass over a scope: what is due is asked for; what fails is Unavailable, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, TypeVar

from exporter.aws.errors import attempt
from exporter.model import (
    STATES,
    Details,
    Inventory,
    Known,
    Listing,
    Part,
    Unavailable,
    carry,
    last_known,
)

T = TypeVar("T")
Row = Mapping[str, Any]

# The most that each API takes a page; EC2's own limit is 1,000 where nothing else is said.
PAGE = 1000
SMALLER_PAGES = {
    "describe_route_tables": 100,
    "describe_managed_prefix_lists": 100,
    "get_managed_prefix_list_entries": 100,
    "describe_vpc_endpoint_associations": 100,
    "describe_load_balancers": 400,
    "describe_target_groups": 400,
    "describe_listeners": 100,
}


class Pass:
    """One pass: asks for states always, for configuration when what is held of it is old.

    `client` gives the client of a service, `previous` is what the pass before found. After `budget`
    seconds no details are asked for any more: what was listed by then must not wait for calls
    that hang.
    """

    def __init__(
        self,
        client: Callable[[str], Any],
        clock: Callable[[], float],
        previous: Inventory | None,
        configuration_age: float,
        budget: float,
    ) -> None:
        self._client = client
        self._clock = clock
        self._previous = previous
        self._configuration_age = configuration_age
        self._out_of_time = clock() + budget
        # Set when an endpoint or service is new or changed: then its surroundings are listed too.
        self.relist = False
        self.kept_to: dict[str, frozenset[str]] = {}

    def listing(
        self,
        name: str,
        call: tuple[str, str, str],
        translate: Callable[[Row], Any],
        keep: Callable[[Any], bool] | None = None,
        keep_to: Set[str] = frozenset(),
        **parameters: Any,
    ) -> Listing[Any]:
        """Return a part of the inventory, by id: what `call` (service, operation, key) lists.

        `keep` says which of it belongs there; it depends on no more than the ids `keep_to`. When
        these are others than last time, the listing is asked for again.
        """
        old: Part[Any] | None = getattr(self._previous, name, None)
        before = self._previous.kept_to.get(name) if self._previous else None
        if before is not None:
            self.kept_to[name] = before
        if not self.relist and before == keep_to and self._current(name, old):
            assert old is not None
            return old

        def fetch() -> Known[Mapping[str, Any]]:
            as_of = self._clock()  # before the first page: nothing later than this is claimed
            items = (translate(row) for row in self.rows(call, **parameters))
            return Known({item.id: item for item in items if not keep or keep(item)}, as_of)

        new: Listing[Any] = attempt(fetch)
        if isinstance(new, Known):
            self.kept_to[name] = frozenset(keep_to)
        return carry(old, new)

    def details(self, name: str, ids: Iterable[str], fetch: Callable[[str], T]) -> Details[T]:
        """Return what `fetch` gives for each id: a part for each."""
        held: Mapping[str, Part[T]] = getattr(self._previous, name, {})
        found = {i: self._detail(name, i, held.get(i), fetch) for i in sorted(ids)}
        # AWS says that it is gone: what was seen of it before is not what is there now.
        return {i: part for i, part in found.items() if not is_gone(part)}

    def only_if(
        self, needed: bool, sources: Iterable[Part[Any]], ask: Callable[[], Part[Any]]
    ) -> Part[Any]:
        """Return what `ask` gives where something needs it; else nothing, without a call.

        Whether something needs it is unknown while a source that would tell was never seen.
        """
        if needed:
            return ask()
        seen = []
        for source in sources:
            known = source if isinstance(source, Known) else source.last
            if known is None:
                assert isinstance(source, Unavailable)
                return Unavailable(f"what to look for is unknown: {source.reason}", source.outcome)
            seen.append(known.as_of)
        return Known({}, min(seen))

    def rows(self, call: tuple[str, str, str], **parameters: Any) -> Iterator[Row]:
        """Yield the rows of every page; raises what boto3 does, KeyError for a page without any.

        A page may be empty and have a successor all the same.
        """
        service, operation, key = call
        client = self._client(service)
        if client.can_paginate(operation):
            size = SMALLER_PAGES.get(operation, PAGE)
            pages = client.get_paginator(operation).paginate(
                PaginationConfig={"PageSize": size}, **parameters
            )
            for page in pages:
                yield from page[key]
            return
        # botocore knows no paginator for DescribeVpcEndpointAssociations.
        token = None
        while True:
            more: dict[str, str] = {"NextToken": token} if token else {}
            page = getattr(client, operation)(
                MaxResults=SMALLER_PAGES.get(operation, PAGE), **more, **parameters
            )
            yield from page[key]
            if page.get("NextToken") in (None, "", token):
                return
            token = page["NextToken"]

    def ask(self, service: str, operation: str, **parameters: Any) -> Any:
        """Return the answer to one call that has no pages."""
        return getattr(self._client(service), operation)(**parameters)

    def _detail(
        self, name: str, of: str, old: Part[T] | None, fetch: Callable[[str], T]
    ) -> Part[T]:
        if self._current(name, old):
            assert old is not None
            return old
        if self._clock() > self._out_of_time:
            return carry(old, Unavailable("no time left in this pass"))
        as_of = self._clock()
        new: Part[T] = attempt(lambda: Known(fetch(of), as_of))
        return carry(old, new)

    def _current(self, name: str, old: Part[Any] | None) -> bool:
        """Whether a part is configuration that was seen recently enough."""
        return (
            name not in STATES
            and isinstance(old, Known)
            and self._clock() - old.as_of < self._configuration_age
        )


def is_gone(part: Part[Any]) -> bool:
    """Whether the part failed because what it is of is no more (`TargetGroupNotFound` and such)."""
    return isinstance(part, Unavailable) and "NotFound:" in part.reason


def values(part: Listing[T]) -> tuple[T, ...]:
    """Return what was last seen of a listing; nothing where nothing ever was."""
    return tuple((last_known(part) or {}).values())
