"""`audio-compressor hold`: put recordings on hold, list the holds, and let go of one."""

import json
import sys
from collections.abc import Iterable, Sequence

from rich.markup import escape

from audio_compressor.archive.collection import Collection
from audio_compressor.archive.holds import place_hold, read_holds, release_hold
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.model import Hold, LibraryFile
from audio_compressor.archive.records import Record
from audio_compressor.cli.environment import EXIT_ALL_FAILED
from audio_compressor.cli.library import load_library_environment, name_in, open_settings_library
from audio_compressor.cli.library_tables import hold_table, print_table
from audio_compressor.cli.terminal import console
from audio_compressor.errors import ConfigurationError
from audio_compressor.texts import visible


def hold(
    collection: Collection, paths: Sequence[str], languages: Sequence[str], fields: Sequence[str], reason: str
) -> int:
    """Nothing touches what matches one of the paths, one of the languages and all of the fields; exit code."""
    out = console()
    with open_settings_library(load_library_environment(collection), collection) as library:
        found = library.look().survey
        names = tuple(_key_of(library.layout, path, found.records.values()) for path in paths)
        matcher = Matcher(names, tuple(languages), _metadata(fields))
        placed = place_hold(library.layout, matcher, reason)
        matched = _matched(matcher, found.files)
        unmatched = [name for name in names if not _matched(Matcher((name,)), found.files)]
    what = escape(visible(str(matcher)))
    out.print(f"Hold {placed.id}: nothing touches what matches: {what}. {matched:,} recordings do now.", soft_wrap=True)
    for name in unmatched:
        print(f"audio-compressor: no recording matches '{visible(name)}' at present; is it right?", file=sys.stderr)
    if not matched and not unmatched:
        print("audio-compressor: no recording matches at present; is it right?", file=sys.stderr)
    return 0


def list_holds(collection: Collection, *, as_json: bool) -> int:
    """Print the holds, and how many recordings each is about."""
    out = console()
    with open_settings_library(load_library_environment(collection), collection) as library:
        holds, files = read_holds(library.layout), library.look().survey.files
    matched = {each.id: _matched(each.matcher, files) for each in holds}
    if as_json:
        out.out(json.dumps([_hold_json(each, matched[each.id]) for each in holds], indent=2))
    elif holds:
        print_table(out, hold_table(holds, matched))
    else:
        out.print("Nothing is on hold.")
    return 0


def release(collection: Collection, hold_id: str) -> int:
    """Let go of a hold."""
    with open_settings_library(load_library_environment(collection), collection) as library:
        released = release_hold(library.layout, hold_id)
    if released is None:
        print(f"audio-compressor: there is no hold {visible(hold_id)}; --list shows those there are", file=sys.stderr)
        return EXIT_ALL_FAILED
    what = escape(visible(str(released.matcher)))
    console().print(f"Hold {released.id} is released: {what}.", soft_wrap=True)
    return 0


def _matched(matcher: Matcher, files: Sequence[LibraryFile]) -> int:
    return sum(matcher.matches(file.key, file.fields) for file in files)


def _key_of(layout: Layout, given: str, records: Iterable[Record]) -> str:
    """A hold is about recordings, which have the names of their originals: the path of a copy stands for its own."""
    name = name_in(layout, given)
    for record in records:
        if record.copy is not None and record.copy.path == name.removeprefix("./"):
            return f"./{record.key}"
    return name


def _metadata(fields: Sequence[str]) -> dict[str, tuple[object, ...]]:
    """A value may be text or, as in JSON, a number or a truth value; both are looked for.

    Raises:
        ConfigurationError: one is no NAME=VALUE.
    """
    metadata: dict[str, tuple[object, ...]] = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or not name:
            raise ConfigurationError([f"--field {visible(field)} is not NAME=VALUE, such as speaker=Anna"])
        metadata[name] = (*metadata.get(name, ()), *_values(value))
    return metadata


def _values(text: str) -> tuple[object, ...]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return (text,)
    return (text, value) if isinstance(value, str | int | float | None) else (text,)


def _refuse(constant: str) -> object:
    """What JSON knows no numbers for, such as NaN. Raises ValueError."""
    raise ValueError(constant)


def _hold_json(hold: Hold, recordings: int) -> dict[str, object]:
    return {
        "id": hold.id,
        "path": list(hold.matcher.paths),
        "language": list(hold.matcher.languages),
        "metadata": {name: list(values) for name, values in hold.matcher.metadata.items()},
        "reason": hold.reason,
        "placed_at": hold.placed_at.isoformat(),
        "recordings": recordings,
    }
