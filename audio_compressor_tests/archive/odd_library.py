"""A library of everything odd that browsers, crashes and people leave in one, and a real pass over it, file by file.

``python -m audio_compressor_tests.archive.odd_library`` prints what became of each file, and why.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audio_compressor.archive.layout import Layout
from audio_compressor.archive.library import Library, Look, Rules
from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.policy import default_policy
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor_tests.webm_files import (
    as_a_browser_writes,
    cut_between_frames,
    cut_inside_a_frame,
    hiss,
    make_webm,
    music,
    side_by_side,
    voice,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
_OLD, _YOUNGER, _NEW = "2026-03-14", "2026-05-20", "2026-05-30"
_SECOND = 48_000


@dataclass(frozen=True)
class Odd:
    """One file; ``expected`` is the status of its outcome, or the verdict of the plan where nothing is due."""

    path: str
    what: str
    expected: str
    make: Callable[[Path], object]
    changed_ago: timedelta = timedelta(days=3)


def _talk(path: Path, clip: str = "anna-1") -> Path:
    return make_webm(path, voice(clip)[: 4 * _SECOND])


def _with_document(content: object) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        _talk(path)
        text = content if isinstance(content, str) else json.dumps(content)
        path.with_suffix(".json").write_text(text)

    return make


def _beside_a_malformed_one(path: Path) -> None:
    _talk(path)
    path.with_name("meeting.json").write_text('{"chunks": [{"file": "part')


def _link(path: Path) -> None:
    target = path.parent.parent.parent / "elsewhere.webm"
    _talk(target)
    path.symlink_to(target)


def _taken(path: Path) -> None:
    _talk(path)
    path.with_suffix(".opus").write_bytes(b"somebody else's")


ODD = (
    Odd(f"{_OLD}/plain.webm", "WebM with duration and cues, Opus 128k", "success", _talk),
    Odd(
        f"{_OLD}/browser.webm",
        "as Chrome writes it: no duration, no cues",
        "success",
        lambda path: as_a_browser_writes(_talk(path)),
    ),
    Odd(
        f"{_OLD}/firefox.webm",
        "the same without a codec delay",
        "success",
        lambda path: as_a_browser_writes(_talk(path), keep_codec_delay=False),
    ),
    Odd(
        f"{_OLD}/vorbis.webm",
        "Vorbis inside",
        "success",
        lambda path: make_webm(path, voice("ben-1")[: 4 * _SECOND], codec="vorbis"),
    ),
    Odd(
        f"{_OLD}/stereo.webm",
        "two voices, left and right",
        "success",
        lambda path: make_webm(path, side_by_side(voice("anna-1"), voice("ben-1"))[: 4 * _SECOND]),
    ),
    Odd(
        f"{_OLD}/low.webm",
        "Opus 24k: under the target",
        "success",
        lambda path: make_webm(path, voice("ben-1")[: 4 * _SECOND], bitrate_kbps=24),
    ),
    Odd(f"{_OLD}/music.webm", "music", "success", lambda path: make_webm(path, music(4))),
    Odd(f"{_OLD}/silence.webm", "silence", "success", lambda path: make_webm(path, 0 * hiss(4))),
    Odd(
        f"{_OLD}/two tracks.webm",
        "two audio tracks",
        "refused",
        lambda path: make_webm(path, voice("anna-1")[: 4 * _SECOND], audio_tracks=2),
    ),
    Odd(
        f"{_OLD}/video.webm",
        "a picture beside the sound",
        "refused",
        lambda path: make_webm(path, voice("anna-1")[: 4 * _SECOND], with_video=True),
    ),
    Odd(
        f"{_OLD}/cut in a frame.webm",
        "cut off in the middle of a frame",
        "refused",
        lambda path: cut_inside_a_frame(as_a_browser_writes(_talk(path))),
    ),
    Odd(
        f"{_OLD}/cut between.webm",
        "cut off between two frames",
        "success",
        lambda path: cut_between_frames(as_a_browser_writes(_talk(path))),
    ),
    Odd(
        f"{_OLD}/text.webm",
        "no sound at all: a text",
        "failed",
        lambda path: path.write_text("not a recording\n" * 100),
    ),
    Odd(f"{_OLD}/empty.webm", "0 bytes", "doubt", lambda path: path.write_bytes(b"")),
    Odd(
        f"{_OLD}/vorbis 40k.webm",
        "Vorbis already smaller than the target",
        "refused",
        lambda path: make_webm(path, 0.05 * hiss(4), codec="vorbis", bitrate_kbps=48),
    ),
    Odd(
        f"{_OLD}/documented.webm",
        "a JSON beside it",
        "success",
        _with_document({"title": "Monday", "language": "de", "chunks": [{"file": "documented.webm"}]}),
    ),
    Odd("2026-03-16/malformed.webm", "a JSON that is cut off", "doubt", _with_document('{"title": "Tue')),
    Odd("2026-03-15/part.webm", "no JSON of its own, and a malformed one beside it", "doubt", _beside_a_malformed_one),
    Odd(
        f"{_OLD}/others.webm",
        "a JSON that names other files",
        "success",
        _with_document({"chunks": [{"file": "gone_000.webm"}, {"file": "../../etc/passwd"}]}),
    ),
    Odd(f"{_OLD}/written.webm", "written to a moment ago", "waiting", _talk, timedelta(seconds=5)),
    Odd(f"{_OLD}/taken.webm", "an Opus of its name that is not its copy", "doubt", _taken),
    Odd(f"{_YOUNGER}/talk.webm", "12 days old", "success", lambda path: _talk(path, "karl-1")),
    Odd(f"{_NEW}/talk.webm", "2 days old", "kept", _talk),
    Odd(
        f"{_NEW}/dated in its JSON.webm",
        "in a directory of this week, but recorded last year by its JSON",
        "success",
        _with_document({"recorded_at": "2025-06-01T08:00:00Z"}),
    ),
    Odd(f"{_OLD}/link.webm", "a link that leads out", "passed over", _link),
    Odd(f"{_OLD}/a, b.webm", "a comma in its name", "passed over", _talk),
    Odd(f"{_OLD}/ctrl\x07.webm", "a control character in its name", "passed over", _talk),
)


def make_odd_library(root: Path) -> None:
    """All of them, with a master index."""
    for odd in ODD:
        path = root / odd.path
        path.parent.mkdir(parents=True, exist_ok=True)
        odd.make(path)
        if not path.is_symlink():
            at = (NOW - odd.changed_ago).timestamp()
            os.utime(path, (at, at))
    index = [{"file": odd.path, "size": (root / odd.path).stat().st_size} for odd in ODD]
    (root / "index.json").write_text(json.dumps({"recordings": index}, indent=1))


@contextmanager
def open_odd_library(root: Path) -> Iterator[Library]:
    policy = default_policy(has_cold_storage=False)
    with Library(Layout(root, "index.json"), Rules(policy, 7, 60, 0)) as library:
        yield library


def one_pass(library: Library) -> tuple[Look, dict[str, Outcome]]:
    """What was planned, and what became of what was due."""
    assert library.begin() == []
    look = library.look(NOW)
    outcomes = {outcome.key: outcome for outcome in library.archive(look.plan.decisions, find_ffmpeg(), 2)}
    return look, outcomes


def ends(look: Look, outcomes: dict[str, Outcome]) -> dict[str, tuple[str, str, int, int]]:
    """Of each file what became of it, why, and its bytes before and after."""
    found = {odd.path: ("passed over", "", 0, 0) for odd in ODD}
    for odd in ODD:
        shown = odd.path.replace("\x07", "\ufffd")
        reasons = [problem for problem in look.problems if problem.startswith(f"{shown} ")]
        found[odd.path] = ("passed over", reasons[0] if reasons else "", 0, 0)
    for decision in look.plan.decisions:
        size = decision.file.size_bytes
        found[decision.file.key] = (decision.verdict, decision.reason, size, size)
    for key, outcome in outcomes.items():
        found[key] = (outcome.status, outcome.reason, outcome.before_bytes, outcome.after_bytes)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "library")
        make_odd_library(root)
        started = time.monotonic()
        with open_odd_library(root) as library:
            table = ends(*one_pass(library))
        seconds = time.monotonic() - started
    for odd in ODD:
        end, reason, before, after = table[odd.path]
        mark = "" if end == odd.expected else f" (EXPECTED: {odd.expected})"
        print(f"{ascii(odd.path)[1:-1]:40} {before:7} {after:7}  {end:11}{mark} {odd.what}")
        print(f"{'':58}{reason[:150]}")
    print(f"{len(ODD)} files, {seconds:.1f} s")
    sys.exit(any(table[odd.path][0] != odd.expected for odd in ODD))


if __name__ == "__main__":
    main()
