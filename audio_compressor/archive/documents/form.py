"""How a JSON file is laid out, so that one value can be changed in it without touching every line."""

import json
import re
from dataclasses import dataclass
from typing import Any

_BOM = "\ufeff"
# Enough to see the first key; what is looked for stands at the beginning.
_HEAD_CHARACTERS = 4_096
_INDENT = re.compile(r"[ \t\r\n]*[\[{][ \t]*\r?\n(?P<indent>[ \t]*)[^\s\]}]")
_FIRST_KEY = re.compile(r'"(?:[^"\\]|\\.)*"(?P<before>[ ]?):(?P<after>[ ]?)')


@dataclass(frozen=True)
class Form:
    """The layout of one file. ``indent`` is None for all on one line; ``ending`` is the white space at the end."""

    indent: str | None = "  "
    is_tight: bool = False
    newline: str = "\n"
    is_ascii: bool = False
    has_bom: bool = False
    ending: str = "\n"


def form_of(text: str) -> Form:
    """The layout of a text that is JSON."""
    has_bom = text.startswith(_BOM)
    text = text.removeprefix(_BOM)
    head = text[:_HEAD_CHARACTERS]
    indented = _INDENT.match(head)
    key = _FIRST_KEY.search(head)
    return Form(
        indent=indented["indent"] if indented else None,
        is_tight=key is not None and not key["after"],
        newline="\r\n" if "\r\n" in text else "\n",
        is_ascii=text.isascii(),
        has_bom=has_bom,
        ending=text[len(text.rstrip(" \t\r\n")) :],
    )


def serialise(root: Any, form: Form) -> str:
    """The value as JSON text in that layout, which can always be encoded as UTF-8."""
    text = _dumped(root, form, is_ascii=form.is_ascii)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which was escaped in the file and can be nothing else
        text = _dumped(root, form, is_ascii=True)
    return (_BOM if form.has_bom else "") + text + form.ending


def _dumped(root: Any, form: Form, *, is_ascii: bool) -> str:
    between_items = "," if form.is_tight or form.indent is not None else ", "
    separators = (between_items, ":" if form.is_tight else ": ")
    text = json.dumps(root, indent=form.indent, separators=separators, ensure_ascii=is_ascii, allow_nan=False)
    # JSON's own texts hold no line break that is not escaped.
    return text if form.newline == "\n" else text.replace("\n", form.newline)
