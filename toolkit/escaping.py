"""Other people's text, such as names of files, runs and sources, made safe to show in terminals, HTML and Markdown."""

import re
import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of the text around them, so that a line reads as another one."""
_SYNTAX = re.compile(r"([\\`*_\[\]<|~&])")


def is_treacherous(character: str) -> bool:
    """Whether a character is unseen and changes how its neighbours look: a control character or a mark of direction."""
    return character in _BIDI or unicodedata.category(character) in ("Cc", "Zl", "Zp")


def visible(text: str) -> str:
    r"""The text with every treacherous character but the line end written out, as in \\u202e."""
    return "".join(c.encode("unicode_escape").decode() if c != "\n" and is_treacherous(c) else c for c in text)


def markdown(text: str) -> str:
    """The text as Markdown that shows just this text, on one line."""
    return _SYNTAX.sub(r"\\\1", visible(" ".join(text.splitlines())))
