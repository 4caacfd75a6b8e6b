"""The result as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WIDTH = 38


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement of ours (None: not measured) beside the others'.

    least says how many times each other's figure ours has to be; most limits ours itself.
    """

    what: str
    unit: str
    ours: float | None
    theirs: dict[str, float]
    least: dict[str, float] = field(default_factory=dict)
    most: float | None = None

    @property
    def ratio(self) -> dict[str, float]:
        """Return ours divided by each of theirs."""
        if self.ours is None:
            return {}
        return {name: self.ours / value for name, value in self.theirs.items()}


def figure(value: float | None, unit: str) -> str:
    """Return a value for people: records/s in millions, the rest as it is."""
    if value is None:
        return "not measured"
    return f"{value / 1e6:.2f} M {unit}" if unit == "records/s" else f"{value:.0f} {unit}"


def judged(good: bool) -> str:
    """Return the word for a threshold that is met, or is not."""
    return "ok" if good else "missed"


def table(results: list[Result]) -> Iterator[str]:
    """Yield the lines of the table: the figure, ours as a multiple of it, the threshold."""
    yield f"{'':<{WIDTH}}{'figure':>18}{'ours is':>10}{'at least':>10}"
    for result in results:
        line = f"{result.what + ': ours':<{WIDTH}}{figure(result.ours, result.unit):>18}"
        if result.most is not None and result.ours is not None:
            limit = f"under {result.most:.0f}"
            line += f"{limit:>20}  {judged(result.ours < result.most)}"
        yield line
        for name in result.theirs | result.least:
            yield against(result, name)


def against(result: Result, name: str) -> str:
    """Return the line of one of theirs."""
    line = f"  {name:<{WIDTH - 2}}{figure(result.theirs.get(name), result.unit):>18}"
    ratio, least = result.ratio.get(name), result.least.get(name)
    line += f"{'' if ratio is None else f'{ratio:.2f}x':>10}"
    line += f"{'' if least is None else f'{least:.2f}x':>10}"
    if ratio is not None and least is not None:
        line += f"  {judged(ratio >= least)}"
    return line.rstrip()


def write(path: Path, results: list[Result]) -> None:
    """Write the results for other programs."""
    rows = [
        {"what": r.what, "ours": r.ours, "theirs": r.theirs, "unit": r.unit, "ratio": r.ratio}
        for r in results
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")
