"""What a change changed, in one line of words; where there are none, what it names."""

from __future__ import annotations

from exporter.aws import words_ends, words_network
from exporter.aws.events import Folded, clean
from exporter.aws.words import anything, joined

LONGEST = 240
_WORDS = {**words_ends.WORDS, **words_network.WORDS}


def what(event: str, request: Folded, answer: Folded) -> str:
    """Return what changed, or was to change, in words."""
    words = _WORDS.get(event)
    told = [text for text in words(request, answer) if text] if words else []
    return clean(joined(told or anything(request, answer), "; "), LONGEST)
