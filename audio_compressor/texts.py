"""Texts from outside (names, answers of servers, what FFmpeg prints) made harmless for where people read them.

`visible` is for plain text: terminals, logs, and Dagster's text and JSON metadata. `escape_line` is for what Dagster's
UI renders as Markdown, which it does with every description and nothing else but `MetadataValue.md` (1.13.27).
"""

import re
import unicodedata

# Control characters (a terminal obeys them), direction overrides and other invisible ones, lone surrogates, and the
# separators of lines and paragraphs.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Letters that show nothing: the fillers of Hangul, and the empty pattern of Braille.
_BLANK = {"\u115f", "\u1160", "\u3164", "\uffa0", "\u2800"}
_REPLACEMENT = "\ufffd"
# The last two join and part letters of Persian and Indic scripts, and the parts of emoji.
_KEPT = {"\n", "\t", "\u200c", "\u200d"}

# What CommonMark and its GitHub extension give a meaning to inside a line; a backslash takes it away (CommonMark 0.31,
# section 2.4). An underscore between letters or digits, as in the names of settings, has none (section 6.2). Angle
# brackets and ampersands become entities, for renderers that pass HTML through.
_MARKUP = re.compile(r"([\\`*\[\]|~^$]|(?<![^\W_])_|_(?![^\W_]))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# At the start of a line: numbers, dashes, plus and number signs that begin lists, headings and rules.
_BLOCK = re.compile(r"^(\d{1,9}(?=[.)](?:\s|$))|(?=(?:[+-]|#{1,6})(?:\s|$)|-[\s-]*$))")

# GitHub's extension links bare addresses even when they are escaped; an invisible word joiner inside prevents it.
_BARE_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
_WORD_JOINER = "\u2060"


def has_unseen(text: str) -> bool:
    """Whether anything in it is not seen but may be obeyed, new lines and tabs included."""
    return any(_is_unseen(character) for character in text)


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or character in _BLANK


def visible(text: str) -> str:
    """The text with U+FFFD in place of everything that is not seen but obeyed; new lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _REPLACEMENT if _is_unseen(character) and character not in _KEPT else character for character in text
    )


def escape_cell(text: str) -> str:
    """The text on one line, shown as it is in a cell of a Markdown table; nothing of it is rendered."""
    seen = "".join(" " if _is_unseen(character) else character for character in text)
    line = _BARE_ADDRESS.sub(_WORD_JOINER, " ".join(seen.split()))
    return "".join(_ENTITIES.get(character, character) for character in _MARKUP.sub(r"\\\1", line))


def escape_line(text: str) -> str:
    """The text on one line, shown as it is where Markdown is rendered; nothing of it is."""
    return _BLOCK.sub(r"\1\\", escape_cell(text))
