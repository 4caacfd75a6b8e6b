"""What is noted beside the counters stays bounded for each endpoint."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path

from exporter.flowlogs.clients import CLIENTS
from exporter.flowlogs.notes import Notes
from exporter.flowlogs.tally import (
    CLIENTS_ACCEPTED,
    KEPT,
    OTHER,
    PORTS_A_MINUTE,
    PORTS_ACCEPTED,
    Port,
    Rejected,
    Tally,
)
from exporter.model import Accepted
from exporter.store import Batch, Store
from tests.flowlogs.estate import BEGIN, SCOPE

MINUTE = int(BEGIN) // 60 * 60


def rejects(ports: range) -> Tally:
    """Return a tally of one reject at each of the ports."""
    tally = Tally()
    tally.rejects(("vpce-1", Rejected("", p, 6, "endpoint"), MINUTE) for p in ports)
    return tally


def test_a_scan_of_ports_that_comes_in_many_files_has_64_ports_a_minute(tmp_path: Path) -> None:
    """The others become one, whatever came in which file and after a restart; none is lost."""
    step = PORTS_A_MINUTE // 2
    for first in range(0, 10 * step, step):
        store = Store(tmp_path)
        source = store.source(SCOPE, "s3", "fl-1").id
        notes = Notes(store, SCOPE)
        notes.commit(source, Batch(), rejects(range(first, first + step)), BEGIN)
        notes.commit(source, Batch(), rejects(range(10)), BEGIN)
        recent = notes.noted().recent
        store.close()
    named = {(proto, port) for _, _, proto, port in recent}
    assert named == {OTHER, *((6, port) for port in range(PORTS_A_MINUTE))}
    assert recent["vpce-1", MINUTE, 6, 1] == 11
    assert recent["vpce-1", MINUTE, *OTHER] == 8 * step
    assert sum(recent.values()) == 10 * (step + 10)


def test_who_was_rejected_survives_a_restart(tmp_path: Path) -> None:
    """The sketches are read as they were saved, also as an earlier version saved them."""
    store = Store(tmp_path)
    source = store.source(SCOPE, "s3", "fl-1").id
    notes = Notes(store, SCOPE)
    tally = Tally()
    whos = [
        Rejected("203.0.113.7", 443, 6, "endpoint", "to_endpoint", "syn"),
        Rejected('an "odd" \u00e9', -1, -1, "client"),
    ]
    tally.rejects(("vpce-1", whos[n % 3 % 2], MINUTE + n) for n in range(7))
    notes.commit(source, Batch(), tally, BEGIN)
    notes.save(BEGIN, {"vpce-1"})
    saved = notes.noted().rejected
    assert Notes(store, SCOPE).noted().rejected == saved
    ((bucket, sketch),) = saved.items()
    rows = [[*who, *times] for who, times in sketch.counts.items()]
    store.note(SCOPE, {bucket: json.dumps([sketch.error, rows])}, BEGIN - KEPT)
    assert Notes(store, SCOPE).noted().rejected == saved
    store.close()


def test_recent_rejects_fade(tmp_path: Path) -> None:
    """What is older than an hour and a quarter goes, and is not noted again."""
    store = Store(tmp_path)
    source = store.source(SCOPE, "s3", "fl-1").id
    notes = Notes(store, SCOPE)
    later = MINUTE + KEPT + 1000
    notes.commit(source, Batch(), rejects(range(3)), BEGIN)
    notes.save(later, {"vpce-1"})
    notes.commit(source, Batch(), rejects(range(3)), later)
    assert not notes.noted().recent
    store.close()


def test_accepted_ports_go_with_their_endpoint(tmp_path: Path) -> None:
    """An endpoint has so many at most, and none once it has gone; a restart knows it too."""
    store = Store(tmp_path)
    source = store.source(SCOPE, "s3", "fl-1").id
    notes = Notes(store, SCOPE)
    for endpoint_id in ("vpce-1", "vpce-2"):
        for first in range(0, 60, 20):
            ports = {Port(endpoint_id, 6, p) for p in range(first, first + 20)}
            notes.commit(source, Batch(), Tally(accepted=ports), BEGIN)
    assert len(notes.noted().accepted) == 2 * PORTS_ACCEPTED
    notes.save(BEGIN, {"vpce-2"})
    for noted in (notes.noted(), Notes(store, SCOPE).noted()):
        assert len(noted.accepted) == PORTS_ACCEPTED
        assert {port.endpoint_id for port in noted.accepted} == {"vpce-2"}
    store.close()


def test_clients_are_remembered_for_an_hour(tmp_path: Path) -> None:
    """Each way by itself, with when it was last seen; not of an endpoint that has gone."""
    store = Store(tmp_path)
    source = store.source(SCOPE, "s3", "fl-1").id
    notes = Notes(store, SCOPE)
    client = ip_address("10.2.0.5")
    for address, inbound, end in (
        ("10.2.0.5", True, MINUTE - 60),
        ("10.2.0.5", True, MINUTE - 120),
        ("10.2.0.5", False, MINUTE),
        ("2001:db8::1", True, MINUTE - KEPT - 1),
        ("no address", True, MINUTE),
    ):
        tally = Tally()
        tally.client("vpce-1", address, inbound, end)
        tally.client("vpce-2", address, inbound, end)
        notes.commit(source, Batch(), tally, MINUTE)
    notes.save(MINUTE, {"vpce-1"})
    assert notes.noted().clients == {"vpce-1": (Accepted(client, MINUTE - 60, MINUTE),)}
    notes.save(MINUTE + KEPT, {"vpce-1"})
    assert notes.noted().clients == {"vpce-1": (Accepted(client, None, MINUTE),)}
    notes.save(MINUTE + KEPT + 1, {"vpce-1"})
    assert notes.noted().clients == {}
    store.close()


def test_of_many_clients_those_seen_both_ways_stay(tmp_path: Path) -> None:
    """At most so many of an endpoint are kept, whatever comes."""
    store = Store(tmp_path)
    source = store.source(SCOPE, "s3", "fl-1").id
    notes = Notes(store, SCOPE)
    for i in range(2 * CLIENTS):
        tally = Tally()
        for inbound in (True, False) if i < 10 else (True,):
            tally.client("vpce-1", f"10.2.0.{i}", inbound, MINUTE + i)
        notes.commit(source, Batch(), tally, MINUTE)
    (clients,) = notes.noted().clients.values()
    kept = {*range(10), *range(CLIENTS + 10, 2 * CLIENTS)}
    assert {str(client.address) for client in clients} == {f"10.2.0.{i}" for i in kept}
    store.close()


def test_a_tally_knows_few_clients() -> None:
    """However many there are, and in however many parts they come."""
    tally = Tally()
    for i in range(100):
        part = Tally()
        part.client("vpce-1", f"10.2.0.{i}", True, MINUTE)
        tally.merge(part)
    assert len(tally.clients["vpce-1", True]) == CLIENTS_ACCEPTED
