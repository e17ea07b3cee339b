"""Reads a library's documents, strictly: what is not beyond doubt is a `Trouble` with its reason, never an exception.

A document is rewritten when its recording is archived, so everything in it has to survive that: a name that is there
twice, or a number that is none, would be lost without a word.
"""

import hashlib
import json
import math
import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_compressor.archive.documents.form import Form, form_of
from audio_compressor.archive.documents.names import shown

MAX_DOCUMENT_BYTES = 16_000_000
MAX_INDEX_BYTES = 256_000_000
# Documents have a handful of levels; Python's own limit on recursion is far above this.
MAX_DEPTH = 64

Fields = dict[str, Any]


@dataclass(frozen=True)
class Trouble:
    """Why a document cannot be used, as the end of a sentence that begins with its name."""

    reason: str


@dataclass(frozen=True)
class Document:
    """The JSON beside recordings: its file name, its top level, the SHA-256 of its bytes, and how it is laid out."""

    name: str
    fields: Fields
    sha256: str
    form: Form


@dataclass(frozen=True)
class Index:
    """The master index: whatever its top level is, the SHA-256 of its bytes, and how it is laid out."""

    root: Fields | list[Any]
    sha256: str
    form: Form


class _RefusedError(ValueError):
    """JSON for Python's reader, but not for us."""


def read_document(path: Path) -> Document | Trouble:
    """Read the JSON beside recordings. Neither its content nor the file system raises."""
    content = _content(path, MAX_DOCUMENT_BYTES)
    return content if isinstance(content, Trouble) else parse_document(path.name, content)


def read_index(path: Path) -> Index | Trouble | None:
    """Read a master index; None where there is none. Neither its content nor the file system raises."""
    if not os.path.lexists(path):
        return None
    content = _content(path, MAX_INDEX_BYTES)
    return content if isinstance(content, Trouble) else parse_index(content)


def parse_document(name: str, content: bytes) -> Document | Trouble:
    """Parse the JSON beside recordings, which has to be an object."""
    parsed = _parse(content, MAX_DOCUMENT_BYTES)
    if isinstance(parsed, Trouble):
        return parsed
    if not isinstance(parsed.root, dict):
        return Trouble("holds a list instead of an object")
    return Document(name, parsed.root, parsed.sha256, parsed.form)


def parse_index(content: bytes) -> Index | Trouble:
    """Parse a master index, which has to be an object or a list."""
    return _parse(content, MAX_INDEX_BYTES)


def _content(path: Path, limit_bytes: int) -> bytes | Trouble:
    try:
        # A named pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Trouble("is not a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(limit_bytes + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        if path.is_symlink():
            return Trouble("is a symbolic link, which is not followed")
        return Trouble(f"cannot be read: {error.strerror or error}")


def _parse(content: bytes, limit_bytes: int) -> Index | Trouble:
    if len(content) > limit_bytes:
        return Trouble(f"is larger than {limit_bytes / 1e6:,.0f} MB")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return Trouble(f"is not UTF-8 (byte {error.start:,})")
    if not text.removeprefix("\ufeff").strip():
        return Trouble("is empty")
    try:
        root = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
        )
        if not isinstance(root, dict | list):
            return Trouble("holds a single value instead of an object")
        if _is_deeper(root, MAX_DEPTH):
            return Trouble(f"is nested more than {MAX_DEPTH} deep")
    except json.JSONDecodeError as error:
        return Trouble(f"is not JSON: {error}")
    except _RefusedError as error:
        return Trouble(str(error))
    except RecursionError:
        return Trouble(f"is nested more than {MAX_DEPTH} deep")
    except ValueError:  # Python's limit on the digits of a whole number
        return Trouble("holds a number of thousands of digits")
    return Index(root, hashlib.sha256(content).hexdigest(), form_of(text))


def _object(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _RefusedError(f"holds the field {shown(twice)} twice in one object")
    return fields


def _constant(text: str) -> object:
    raise _RefusedError(f"holds {text}, which is not JSON")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError(f"holds the number {shown(text)}, which is too large to be kept")
    return value


def _is_deeper(root: object, limit: int) -> bool:
    level: list[Any] = [root]
    for _ in range(limit):
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True
