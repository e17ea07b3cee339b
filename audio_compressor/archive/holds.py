"""Holds: what nothing may touch, until somebody releases it. One small file in the library's own directory."""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from audio_compressor.archive.documents.names import own_document
from audio_compressor.archive.documents.reading import Document, read_document
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.locks import wait_for_lock
from audio_compressor.archive.matching import Matcher, why_no_pattern
from audio_compressor.archive.model import Hold
from audio_compressor.errors import ConfigurationError, LibraryError
from audio_compressor.local_files import local_errors, write_atomically


def read_holds(layout: Layout) -> tuple[Hold, ...]:
    """
    Raises:
        LibraryError: the file cannot be understood. Nothing may be done then: it might be about anything.
        AudioCompressorError: it cannot be read.
    """
    path = layout.holds
    with local_errors(path):
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return ()
    try:
        found = json.loads(text)
        if not isinstance(found, list):
            raise TypeError("it is no list")
        return tuple(_from_json(each) for each in found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryError(
            f"{path} holds no list of holds ({error}); put it right, for nothing is archived without it"
        ) from error


def hold_on(layout: Layout, key: str, *paths: str) -> Hold | None:
    """One that is, or may be, about a recording of which no look tells: what is in the trash, or in a journal. Where a
    hold asks for what its document says, and there is none that can be read, it counts.
    """
    holds = read_holds(layout)
    if not holds:
        return None
    path = layout.inside(key)
    document = read_document(path.with_name(own_document(path.name)))
    fields = document.fields if isinstance(document, Document) else None
    for hold in holds:
        matcher = hold.matcher if fields is not None else Matcher(hold.matcher.paths)
        if any(matcher.matches(each, fields or {}, loosely=True) for each in (key, *paths)):
            return hold
    return None


def place_hold(layout: Layout, matcher: Matcher, reason: str) -> Hold:
    """
    Raises:
        ConfigurationError: it would match nothing, or everything without saying so.
        AudioCompressorError: it could not be written.
    """
    if matcher.is_general:
        raise ConfigurationError(["a hold needs a path, a language or a field; to hold everything, give the path **"])
    if problems := _why_nothing_matches(matcher):
        raise ConfigurationError(problems)
    layout.prepare()
    with wait_for_lock(layout.locks / "holds"):
        holds = read_holds(layout)
        hold = Hold(secrets.token_hex(4), matcher, reason, datetime.now(UTC))
        _write(layout, (*holds, hold))
    return hold


def release_hold(layout: Layout, hold_id: str) -> Hold | None:
    """The hold that was released, or None where there is none of that id."""
    layout.prepare()
    with wait_for_lock(layout.locks / "holds"):
        holds = read_holds(layout)
        released = next((hold for hold in holds if hold.id == hold_id), None)
        if released:
            _write(layout, tuple(hold for hold in holds if hold is not released))
    return released


def _write(layout: Layout, holds: tuple[Hold, ...]) -> None:
    write_atomically(layout.holds, json.dumps([_to_json(hold) for hold in holds], indent=1) + "\n")


def _to_json(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "path": list(hold.matcher.paths),
        "language": list(hold.matcher.languages),
        "metadata": {name: list(values) for name, values in hold.matcher.metadata.items()},
        "reason": hold.reason,
        "placed_at": hold.placed_at.astimezone(UTC).isoformat(),
    }


def _from_json(fields: Mapping[str, Any]) -> Hold:
    """Raises whatever is at hand. The file may have been edited, and a hold that matches nothing protects nothing."""
    metadata = {name: tuple(_list(values)) for name, values in fields["metadata"].items()}
    matcher = Matcher(tuple(_texts(fields["path"])), tuple(_texts(fields["language"])), metadata)
    if matcher.is_general:  # would match everything, which nobody has asked for
        raise ValueError("one of them names nothing")
    if problems := _why_nothing_matches(matcher):
        raise ValueError("; ".join(problems))
    [hold_id, reason, placed_at] = _texts([fields["id"], fields["reason"], fields["placed_at"]])
    return Hold(hold_id, matcher, reason, datetime.fromisoformat(placed_at))


def _why_nothing_matches(matcher: Matcher) -> list[str]:
    return [
        *(f"the path '{path}': {why}" for path in matcher.paths if (why := why_no_pattern(path))),
        *(
            f"the field '{name}' has no value that it may have"
            for name, values in matcher.metadata.items()
            if not values
        ),
    ]


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _texts(value: object) -> list[str]:
    if strange := [each for each in _list(value) if not isinstance(each, str)]:
        raise TypeError(f"{strange[0]!r} is no text")
    return _list(value)
