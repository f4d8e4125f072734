"""Text for terminals that do not have all characters: ASCII ones, and the code pages of Windows."""

from __future__ import annotations

import codecs
import io
import sys

_NAME = "nchain_plain_text"
_PLAIN = {
    "\u00a0": " ",
    "±": "+-",
    "→": "->",
    "←": "<-",
    "•": "*",
    "·": "*",
    "…": "...",
    **dict.fromkeys("\u2013\u2014─━", "-"),
    **dict.fromkeys("│┃▌", "|"),
    # what rich's spinner turns
    **dict.fromkeys(map(chr, range(0x2800, 0x2900)), "*"),
}


def write_plain_text() -> None:
    """Make the standard streams write other characters for those that they do not have."""
    codecs.register_error(_NAME, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_NAME)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":  # a byte in the name of a file
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return _PLAIN.get(character, "?"), error.start + 1
