"""Which recordings a tier or a hold is about: by path, by language, by any field of their metadata. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_ANY_DIRECTORIES = "(?:.*/)?"
# Says what one of them says, and would be tried in every way.
_REPEATED = re.compile(r"(\*\*/)(?:\*\*/)+|(?<=\*\*)\*+")


@dataclass(frozen=True)
class Matcher:
    """Matches what all of its parts match; one without parts matches everything.

    A path pattern is a path below the library's root, in which ``*`` and ``?`` stand for what is no slash and ``**``
    for any directories. One that names a directory matches everything below it; one without a slash, files of that
    name wherever they are, unless ``./`` is before it. Letters with accents are the same however they are composed.
    ``metadata`` maps fields, such as ``speaker`` or ``session.room``, to the values they may have. A field that is a
    list matches by none of its values, or ``loosely``, as holds do, by each.
    """

    paths: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[object, ...]] = field(default_factory=dict)

    @property
    def is_general(self) -> bool:
        return not (self.paths or self.languages or self.metadata)

    def matches(self, path: str, fields: Mapping[str, Any], *, loosely: bool = False) -> bool:
        return (
            self._matches_path(path)
            and self._matches_language(fields, loosely=loosely)
            and self._matches_metadata(fields, loosely=loosely)
        )

    def _matches_path(self, path: str) -> bool:
        if not self.paths:
            return True
        composed = _composed(path)
        return any(pattern.fullmatch(composed) for pattern in self._patterns)

    def _matches_language(self, fields: Mapping[str, Any], *, loosely: bool) -> bool:
        if not self.languages:
            return True
        told = _told(fields.get("language"), loosely=loosely)
        return any(isinstance(each, str) and each.strip().casefold() in self._languages for each in told)

    def _matches_metadata(self, fields: Mapping[str, Any], *, loosely: bool) -> bool:
        return not self.metadata or all(
            any(_is_one_of(each, values) for each in _told(_value(fields, name), loosely=loosely))
            for name, values in self.metadata.items()
        )

    # Thousands of recordings are asked about with one matcher.
    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_compiled(pattern) for pattern in self.paths)

    @cached_property
    def _languages(self) -> frozenset[str]:
        return frozenset(language.casefold() for language in self.languages)

    def __str__(self) -> str:
        parts = [
            *([f"path {' or '.join(self.paths)}"] if self.paths else ()),
            *([f"language {' or '.join(self.languages)}"] if self.languages else ()),
            *(
                f"{name} {' or '.join(dict.fromkeys(str(value) for value in values))}"
                for name, values in self.metadata.items()
            ),
        ]
        return ", ".join(parts) or "everything"


EVERYTHING = Matcher()


def why_no_pattern(pattern: str) -> str | None:
    """The reason why a path pattern could never match anything, or None."""
    if not pattern.strip("/"):
        return "it is empty"
    if pattern.startswith("/"):
        return "it begins with a slash; paths are below LIBRARY_DIR"
    parts = pattern.removeprefix("./").rstrip("/").split("/")
    if ".." in parts:
        return "it leads out of LIBRARY_DIR"
    if "" in parts or "." in parts:
        return "one of its directories is empty or '.'; for all of LIBRARY_DIR, give **"
    return None


def _value(fields: Mapping[str, Any], name: str) -> object:
    """The field of this name or, for ``a.b``, field ``b`` of the object ``a``."""
    if name in fields:
        return fields[name]
    first, _, rest = name.partition(".")
    inner = fields.get(first)
    return _value(inner, rest) if rest and isinstance(inner, Mapping) else None


def _told(value: object, *, loosely: bool) -> list[object]:
    return value if loosely and isinstance(value, list) else [value]


def _is_one_of(value: object, values: tuple[object, ...]) -> bool:
    """To Python, true is 1, and false is 0."""
    return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in values)


def _composed(text: str) -> str:
    """macOS takes letters with accents apart in the names of files; people type them as one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _compiled(pattern: str) -> re.Pattern[str]:
    rest = _composed(pattern).rstrip("/")
    anywhere = _ANY_DIRECTORIES if "/" not in rest else ""
    rest = _REPEATED.sub(r"\1", rest.removeprefix("./"))
    expression = ""
    while rest:
        if rest.startswith("**/"):
            expression, rest = expression + _ANY_DIRECTORIES, rest[3:]
        elif rest.startswith("**"):
            expression, rest = f"{expression}.*", rest[2:]
        else:
            expression += {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0]))
            rest = rest[1:]
    return re.compile(f"{anywhere}{expression}(?:/.*)?", re.DOTALL)
