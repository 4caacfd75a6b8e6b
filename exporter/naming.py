"""What somebody means by a name: an id, a tag Name, or what endpoints and services belong to."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from exporter.model import Diagnosis, Scope, last_known
from exporter.world import Estate, World

# How many names are shown that are like one that is none.
_MOST = 10


@dataclass(frozen=True, slots=True)
class Named:
    """What a name means; `certain` is whether nothing that is out of sight can be meant as well."""

    found: tuple[Diagnosis, ...] = ()
    certain: bool = False


class Names:
    """The names of everything that is judged."""

    def __init__(self, world: World, diagnoses: Sequence[Diagnosis]) -> None:
        self._diagnoses = diagnoses
        self._of: dict[str, list[Diagnosis]] = {}
        by_id = {(d.scope, d.id): d for d in diagnoses}
        for diagnosis in diagnoses:
            for text in (diagnosis.vpc_id, diagnosis.service_name):
                self._of.setdefault(text.casefold(), []).append(diagnosis)
        for scope, subject, text in (named for e in world.estates for named in _elsewhere(e)):
            if (scope, subject) in by_id:
                self._of.setdefault(text.casefold(), []).append(by_id[scope, subject])

    def named(self, text: str) -> Named:
        """Return what is meant: by the id or tag Name exactly, else in whatever case.

        Else all that are in the VPC of that id, of the service of that name, or answer by that DNS
        name or address; else the one whose id begins like that.
        """
        if not text:
            return Named()
        exact = tuple(d for d in self._diagnoses if text in (d.id, d.name))
        if exact:
            return Named(exact, certain=True)
        folded = text.casefold().removesuffix(".")
        alike = tuple(d for d in self._diagnoses if folded in (d.id.casefold(), d.name.casefold()))
        if alike:
            return Named(alike)
        together = {(d.scope, d.id) for key in _keys(folded) for d in self._of.get(key, ())}
        if together:
            return Named(tuple(d for d in self._diagnoses if (d.scope, d.id) in together))
        begins = tuple(d for d in self._diagnoses if d.id.casefold().startswith(folded))
        return Named(begins if len({d.id for d in begins}) == 1 else ())

    def close(self, text: str) -> tuple[str, ...]:
        """Return ids and names that have the text in them, else those that are almost it."""
        known = sorted({name for d in self._diagnoses for name in (d.id, d.name) if name})
        folded = text.casefold()
        if not folded:
            return ()
        within = tuple(name for name in known if folded in name.casefold())
        if within:
            return within[:_MOST]
        written = {name.casefold(): name for name in known}
        return tuple(written[name] for name in difflib.get_close_matches(folded, written))


def _keys(folded: str) -> Iterator[str]:
    """Yield a name, an address as it is usually written, the wildcard that a DNS name is under."""
    yield folded
    with suppress(ValueError):
        yield str(ip_address(folded))
    _, dot, parent = folded.partition(".")
    if dot:
        yield f"*.{parent}"


def _elsewhere(estate: Estate) -> Iterator[tuple[Scope, str, str]]:
    """Yield the DNS names and addresses by which endpoints and services are reached."""
    interfaces = last_known(estate.inventory.interfaces) or {}
    for endpoint in estate.endpoints():
        for name in endpoint.dns_names:
            yield estate.scope, endpoint.id, name.name.removesuffix(".")
        for interface_id in endpoint.interface_ids:
            if interface_id in interfaces:
                for address in interfaces[interface_id].addresses:
                    yield estate.scope, endpoint.id, str(address)
    for service in estate.services():
        private = [service.private_dns.name] if service.private_dns else []
        for text in (*service.base_dns_names, *private):
            yield estate.scope, service.id, text.removesuffix(".")
