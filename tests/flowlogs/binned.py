"""Random flow-log lines, and the bins that plain Python makes of them by the usual parser."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from exporter.flowlogs.formats import DEFAULT, Format, from_log_format
from exporter.flowlogs.parse import Gap, Record, parse
from exporter.flowlogs.sources.pushdown import Bin

BEGIN = 1_699_999_200  # 2023-11-14 22:00:00 UTC
INTERFACES = ("eni-0a1", "eni-0b2", "eni-0c3")
LAYOUTS = [
    from_log_format(text)
    for text in (
        DEFAULT,
        DEFAULT + " ${vpc-id} ${tcp-flags}",
        "${tcp-flags} ${end} ${start} ${log-status} ${action} ${interface-id} ${bytes}",
        "${interface-id} ${start} ${end} ${packets} ${action}",
        "${action} ${interface-id} ${log-status} ${start} ${end}",
    )
]
LAYOUT_IDS = ["default", "flags last", "another order", "no status", "counts only"]


def line(layout: Format, **values: object) -> str:
    """Return a line of the layout; `-` for what is not said."""
    said = {name.replace("_", "-"): value for name, value in values.items()}
    return " ".join(str(said.get(name, "-")) for name in layout.fields)


def seconds(span: int) -> st.SearchStrategy[int]:
    """Seconds after BEGIN, often the first or last of a minute."""
    of_minute = st.sampled_from([0, 0, 1, 30, 59, 59])
    return st.builds(lambda m, s: 60 * m + s, st.integers(0, span // 60 - 1), of_minute)


def sinces(span: int) -> st.SearchStrategy[float]:
    """Lower bounds of a start: none that matters, or one in the midst, of no whole second too."""
    later = st.builds(lambda s, part: BEGIN + s + part, seconds(span), st.sampled_from([0, 0.5]))
    return st.one_of(st.just(0.0), later)


@st.composite
def lines(draw: st.DrawFn, layout: Format, span: int = 600) -> list[str]:
    """Lines that start within `span` seconds, of three interfaces and one that nobody asks for."""
    found = []
    for _ in range(draw(st.integers(0, 40))):
        start = BEGIN + draw(seconds(span))
        values: dict[str, object] = {
            "interface_id": draw(st.sampled_from([*INTERFACES, "eni-0d4"])),
            "start": start,
            "end": start + draw(st.integers(0, 600)),
            "log_status": draw(st.sampled_from(["OK", "OK", "OK", "NODATA", "SKIPDATA"])),
        }
        if values["log_status"] != "OK":
            values["action"] = draw(st.sampled_from(["-", "ACCEPT"]))
        else:
            values |= {
                "action": draw(st.sampled_from(["ACCEPT", "REJECT"])),
                "bytes": draw(st.integers(0, 2**40)),
                "packets": draw(st.integers(1, 1000)),
                "tcp_flags": draw(st.sampled_from(["-", 0, 2, 3, 4, 16, 18, 19])),
            }
        found.append(line(layout, **values))
    return found


def truth(
    layout: Format, messages: Iterable[str], interfaces: Iterable[str], first: float, last: float
) -> tuple[tuple[Bin, ...], float | None]:
    """Return the bins and the newest end of what starts from `first` to `last`."""
    bins: dict[tuple[int, str, str], Bin] = {}
    newest: list[int] = []
    for message in messages:
        read = parse(message, layout)
        assert isinstance(read, Record | Gap)
        start = int(message.split(" ")[layout.start])
        if read.interface_id not in interfaces or not first <= start <= last:
            continue
        assert read.end is not None
        newest.append(read.end)
        if isinstance(read, Record):
            key = (start // 60 * 60, read.interface_id, str(read.action))
            old = bins.get(key) or Bin(
                *key,
                0,
                None if layout.bytes is None else 0,
                None if layout.packets is None else 0,
                None if layout.tcp_flags is None else 0,
            )
            bins[key] = Bin(
                *key,
                old.records + 1,
                None if old.bytes is None else old.bytes + (read.bytes or 0),
                None if old.packets is None else old.packets + (read.packets or 0),
                None if old.refused is None else old.refused + bool(read.refused),
            )
    return tuple(sorted(bins.values())), max(newest, default=None)
