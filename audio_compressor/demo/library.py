"""A small library for the demo: recordings of talk as browsers write them, of several ages, with their documents.

The ages are those at the moment when the library is made; from then on it ages by itself.
"""

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path

from audio_compressor.archive.holds import place_hold
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.matching import Matcher
from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, input_arguments
from audio_compressor.demo.recordings import CLIPS
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses

INDEX_NAME = "index.json"

_TIMEOUT_SECONDS = 60.0
_ANNA_AND_BEN = ("anna-1", "ben-1", "anna-2", "ben-2", "anna-3", "ben-3")
_JUTTA_AND_KARL = ("jutta-1", "karl-1", "jutta-2", "karl-2")
# As a recorder leaves it that was ended while it wrote.
_MALFORMED = '{"title": "Notes to myself", "chunks": [{"fi'


@dataclass(frozen=True)
class DemoTalk:
    """One WebM file; ``turns`` are the clips in the order in which they are spoken, cut off at ``duration_seconds``.

    ``document`` is the name of the JSON beside it without its suffix, which several may share; empty: there is none.
    """

    name: str
    age_days: int
    title: str
    duration_seconds: int
    turns: tuple[str, ...]
    document: str
    language: str = "en"
    bitrate: str = "128k"
    is_malformed: bool = False
    is_held: bool = False


TALKS = (
    DemoTalk("weekly-plan", 2, "What to do this week", 20, _ANNA_AND_BEN, "weekly-plan"),
    DemoTalk("interview-1", 12, "How the boxes came to the archive", 40, _ANNA_AND_BEN, "interview"),
    DemoTalk("interview-2", 12, "How the boxes came to the archive", 15, _ANNA_AND_BEN[2:], "interview"),
    DemoTalk("tonarchiv", 12, "Gespräch über das Tonarchiv", 25, _JUTTA_AND_KARL, "tonarchiv", "de"),
    DemoTalk("reading-room", 45, "The reading room", 30, _ANNA_AND_BEN[1:], "reading-room"),
    DemoTalk("telephone", 45, "A call from the depot", 20, _ANNA_AND_BEN[3:], "telephone", bitrate="24k"),
    DemoTalk("notes", 45, "Notes to myself", 10, _ANNA_AND_BEN[4:], "notes", is_malformed=True),
    DemoTalk("studio", 400, "Eleven years in the studio", 35, _ANNA_AND_BEN, ""),
    DemoTalk("hearing", 400, "Anhörung", 20, _JUTTA_AND_KARL[1:], "hearing", "de", is_held=True),
)


def create_library(root: Path, ffmpeg: Ffmpeg, now: datetime) -> bool:
    """Make the library, unless there is one; whether it was made. Nobody sees half of it.

    Raises:
        EncodingError: FFmpeg failed.
        OutOfSpaceError, AccessDeniedError, StorageError: it cannot be written.
    """
    if root.exists():
        return False
    new = root.with_name(f".{root.name}.new")
    children = ChildProcesses()
    with local_errors(new):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for talk in TALKS:
            (new / _path(talk, now)).parent.mkdir(exist_ok=True)
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda talk: _record(new, talk, ffmpeg, children, now), TALKS))
        for document, talks in groupby((talk for talk in TALKS if talk.document), key=attrgetter("document")):
            _describe(new, document, list(talks), now)
        _index(new, now)
    for talk in TALKS:
        if talk.is_held:
            place_hold(Layout(new, INDEX_NAME), Matcher(paths=(f"./{_path(talk, now)}",)), "asked for by a court")
    with local_errors(root):
        new.rename(root)
    return True


def _recorded_at(talk: DemoTalk, now: datetime) -> datetime:
    return now.replace(microsecond=0) - timedelta(days=talk.age_days)


def _path(talk: DemoTalk, now: datetime) -> str:
    return f"{_recorded_at(talk, now):%Y-%m-%d}/{talk.name}.webm"


def _record(root: Path, talk: DemoTalk, ffmpeg: Ffmpeg, children: ChildProcesses, now: datetime) -> None:
    path = root / _path(talk, now)
    inputs = chain.from_iterable(input_arguments(CLIPS / f"{clip}.opus") for clip in talk.turns)
    # The clips' times have gaps where one ends and the next begins; their samples have none.
    joined = ("-filter_complex", f"concat=n={len(talk.turns)}:v=0:a=1,asetpts=N/SR/TB[talk]", "-map", "[talk]")
    # Live, as browsers do: without a duration and without an index to seek by.
    webm = ("-c:a", "libopus", "-b:a", talk.bitrate, "-f", "webm", "-live", "1")
    arguments = (*inputs, *joined, "-t", str(talk.duration_seconds), *webm, file_url(path))
    ffmpeg.run(arguments, children=children, timeout_seconds=_TIMEOUT_SECONDS)
    ended_at = _recorded_at(talk, now).timestamp() + talk.duration_seconds
    os.utime(path, (ended_at, ended_at))


def _describe(root: Path, document: str, talks: Sequence[DemoTalk], now: datetime) -> None:
    first = talks[0]
    path = (root / _path(first, now)).with_name(f"{document}.json")
    if first.is_malformed:
        path.write_text(_MALFORMED)
        return
    fields: dict[str, object] = {
        "title": first.title,
        "language": first.language,
        "recorded_at": _recorded_at(first, now).isoformat(),
        "chunks": [{"file": f"{talk.name}.webm", "size": _size_bytes(root, talk, now)} for talk in talks],
    }
    _write(path, fields if len(talks) > 1 else {**fields, "duration": first.duration_seconds})


def _index(root: Path, now: datetime) -> None:
    sizes_bytes = {_path(talk, now): _size_bytes(root, talk, now) for talk in TALKS}
    entries = [{"file": path, "size": size_bytes} for path, size_bytes in sizes_bytes.items()]
    _write(root / INDEX_NAME, {"recordings": entries, "total_size": sum(sizes_bytes.values())})


def _size_bytes(root: Path, talk: DemoTalk, now: datetime) -> int:
    return (root / _path(talk, now)).stat().st_size


def _write(path: Path, fields: dict[str, object]) -> None:
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
