"""The VPC whose traffic is measured, the question asked of it, and the shape of an answer."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = "111122223333"
REGION = "eu-west-1"
INTERFACES = 2_000
ENDPOINTS = 100
INTERFACES_EACH = 2

Count = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface, its address in the VPC, and the endpoint it belongs to, if any."""

    id: str
    address: str
    endpoint: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the question that is put to every contender.

    counts has records, bytes and packets by endpoint and action at the endpoints' own interfaces;
    no_data is how many lines are NODATA, at whatever interface.
    """

    counts: dict[tuple[str, str], Count]
    no_data: int

    def __add__(self, other: Answer) -> Answer:
        counts = dict(self.counts)
        for key, (records, size, packets) in other.counts.items():
            r, s, p = counts.get(key, (0, 0, 0))
            counts[key] = (r + records, s + size, p + packets)
        return Answer(counts, self.no_data + other.no_data)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is so: the answer, how many lines met which fate, and the size of the text in bytes."""

    answer: Answer
    lines: dict[str, int]
    text_bytes: int

    @property
    def records(self) -> int:
        """Return the number of lines, headers aside."""
        return sum(self.lines.values())

    def __add__(self, other: Truth) -> Truth:
        lines = {fate: n + other.lines[fate] for fate, n in self.lines.items()}
        return Truth(self.answer + other.answer, lines, self.text_bytes + other.text_bytes)


def interfaces(seed: int) -> list[Interface]:
    """Return the interfaces of the VPC, those of the endpoints first."""
    rng = random.Random(seed)
    addresses = rng.sample(range(256, 65_536), INTERFACES)
    ids = [f"eni-{rng.getrandbits(68):017x}" for _ in range(INTERFACES)]
    endpoints = [f"vpce-{rng.getrandbits(68):017x}" for _ in range(ENDPOINTS)]
    owners = [e for e in endpoints for _ in range(INTERFACES_EACH)]
    return [
        Interface(
            ids[i],
            f"10.0.{addresses[i] // 256}.{addresses[i] % 256}",
            owners[i] if i < len(owners) else None,
        )
        for i in range(INTERFACES)
    ]


def write_interfaces(path: Path, found: list[Interface]) -> None:
    """Write who owns which interface and address."""
    rows = [{"id": i.id, "address": i.address, "endpoint": i.endpoint} for i in found]
    path.write_text(json.dumps(rows, indent=1))


def read_interfaces(path: Path) -> list[Interface]:
    """Return what write_interfaces wrote."""
    return [Interface(**row) for row in json.loads(path.read_text())]


def truth_to_json(truth: Truth) -> dict[str, Any]:
    """Return the truth as JSON can hold it."""
    counts = [[*key, *count] for key, count in sorted(truth.answer.counts.items())]
    answer = {"counts": counts, "no_data": truth.answer.no_data}
    return {"answer": answer, "lines": truth.lines, "text_bytes": truth.text_bytes}


def truth_from_json(row: dict[str, Any]) -> Truth:
    """Return the truth that truth_to_json was given."""
    answer = row["answer"]
    counts = {(e, action): (r, b, p) for e, action, r, b, p in answer["counts"]}
    return Truth(Answer(counts, answer["no_data"]), row["lines"], row["text_bytes"])
