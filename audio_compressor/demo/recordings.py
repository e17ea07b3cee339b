"""Sample recordings for the demo and the development server: two people talking in a quiet room, in stereo.

The voices are short clips shipped in ``clips/``; FFmpeg places them left and right, repeats them and adds room noise.
``python -m audio_compressor.demo.recordings DIRECTORY`` makes them there.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.errors import EncodingError, FfmpegMissingError
from audio_compressor.recording import part_name

AUDIO_NAME = "StereoMix.wav"
METADATA_NAME = "Meta.xml"
CLIPS = Path(__file__).with_name("clips")

_CHUNK_BYTES = 256 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoRecording:
    """One sample recording; ``turns`` are the clips in the order in which they are spoken."""

    directory: str
    recorded_at: datetime
    sample_rate_hz: int
    bits_per_sample: int
    duration_seconds: int
    turns: tuple[str, ...]
    speakers: tuple[str, str]
    location: str
    title: str


_ENGLISH = ("anna-1", "ben-1", "anna-2", "ben-2", "anna-3", "ben-3")
_GERMAN = ("jutta-1", "karl-1", "jutta-2", "karl-2")
_ANNA_AND_BEN = ("Anna Whitlock", "Ben Harrow")
_JUTTA_AND_KARL = ("Jutta Weiß", "Karl Österreicher")


def _at(day: int, hour: int, minute: int) -> datetime:
    return datetime(2025, 10, day, hour, minute, tzinfo=UTC)


# 92 MB together, so that one pass over all of them is quick; the last is not a recording by its name.
# fmt: off
RECORDINGS = (
    DemoRecording("10-17-25", _at(17, 9, 30), 44_100, 16, 180, _ENGLISH, _ANNA_AND_BEN,
                  "Reading room", "How the boxes came to the archive"),
    DemoRecording("10-17-25-01", _at(17, 11, 5), 48_000, 24, 75, _ENGLISH[2:], _ANNA_AND_BEN,
                  "Reading room", "How the boxes came to the archive, continued"),
    DemoRecording("10-18-25", _at(18, 14, 0), 48_000, 16, 45, ("ben-1", "anna-3", "ben-3", "anna-1"), _ANNA_AND_BEN,
                  "Studio 2", "Eleven years in the studio"),
    DemoRecording("10-20-25", _at(20, 16, 20), 44_100, 24, 60, _GERMAN, _JUTTA_AND_KARL,
                  "Großer Saal, Köln", "Gespräch über das Tonarchiv & seine Spulen"),
    DemoRecording("10-21-25", _at(21, 8, 55), 44_100, 16, 20, _ENGLISH[:2], _ANNA_AND_BEN,
                  "Studio 2", "Level check"),
    DemoRecording("10-21-25-01", _at(21, 9, 10), 48_000, 16, 60, ("anna-1", "karl-1", "anna-2", "karl-2"),
                  ("Anna Whitlock", "Karl Österreicher"), "Studio 2", "Two languages, one archive"),
    DemoRecording("backup of october", _at(22, 18, 0), 44_100, 16, 6, _ENGLISH[2:4], _ANNA_AND_BEN,
                  "Cellar", "Copy made before the move"),
)
# fmt: on


def create_recordings(root: Path, ffmpeg_binary: Path) -> list[DemoRecording]:
    """Make the sample recordings under ``root``; what is there already is left as it is, byte for byte.

    Their files are dated back to the end of the recording, so that they have settled and keep their fingerprints.

    Raises:
        FfmpegMissingError: ``ffmpeg_binary`` cannot be run.
        EncodingError: FFmpeg failed.
    """
    # Two side by side: an FFmpeg this short is mostly start-up and single-threaded decoding.
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda recording: _create(root, ffmpeg_binary, recording), RECORDINGS))
    return list(RECORDINGS)


def add_recording(
    root: Path,
    ffmpeg_binary: Path,
    directory: str,
    *,
    upload_seconds: float = 20,
    stop: threading.Event | None = None,
) -> DemoRecording | None:
    """Let one more recording arrive as uploads do: the file grows in place for ``upload_seconds``, dated now.

    Setting ``stop`` ends it early; the half-written recording is then removed and None returned.

    Raises:
        FfmpegMissingError: ``ffmpeg_binary`` cannot be run.
        EncodingError: FFmpeg failed.
    """
    now = datetime.now(UTC)
    title = f"Live take of {now:%H:%M}"
    recording = DemoRecording(directory, now, 48_000, 16, 40, _ENGLISH, _ANNA_AND_BEN, "Studio 2", title)
    stopped = stop or threading.Event()
    target = root / directory
    with tempfile.TemporaryDirectory(prefix="audio-compressor-demo-") as work:
        finished = Path(work) / AUDIO_NAME
        _render(recording, ffmpeg_binary, finished)
        pause_seconds = upload_seconds * _CHUNK_BYTES / finished.stat().st_size
        target.mkdir(parents=True)
        (target / METADATA_NAME).write_text(_metadata(recording), encoding="utf-8")
        with finished.open("rb") as source, (target / AUDIO_NAME).open("wb", buffering=0) as upload:
            while chunk := source.read(_CHUNK_BYTES):
                upload.write(chunk)
                if stopped.wait(pause_seconds):
                    break
    if stopped.is_set():
        shutil.rmtree(target)
        return None
    logger.info("%s has arrived", directory)
    return recording


def next_directory(existing: Iterable[str], today: date) -> str:
    """Today's date and the take after the last one; after take 99, tomorrow's date.

    ``10-17-25`` is followed by ``10-17-25-01``.
    """
    taken = set(existing)
    names = [f"{today:%m-%d-%y}", *(f"{today:%m-%d-%y}-{take:02d}" for take in range(1, 100))]
    last = max((index for index, name in enumerate(names) if name in taken), default=-1)
    return names[last + 1] if last + 1 < len(names) else next_directory(taken, today + timedelta(days=1))


def _create(root: Path, ffmpeg_binary: Path, recording: DemoRecording) -> None:
    directory = root / recording.directory
    directory.mkdir(parents=True, exist_ok=True)
    ended_at = recording.recorded_at.timestamp() + recording.duration_seconds
    for name in (METADATA_NAME, AUDIO_NAME):
        finished = directory / name
        if finished.exists():
            continue
        part = directory / part_name(name)
        if name == AUDIO_NAME:
            _render(recording, ffmpeg_binary, part)
        else:
            part.write_text(_metadata(recording), encoding="utf-8")
        os.utime(part, (ended_at, ended_at))
        part.replace(finished)
        os.utime(directory, (ended_at, ended_at))


def _render(recording: DemoRecording, ffmpeg_binary: Path, destination: Path) -> None:
    command = [str(ffmpeg_binary), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    for clip in recording.turns:
        command += ["-i", str(CLIPS / f"{clip}.opus")]
    command += ["-filter_complex", _filters(recording), "-map", "[mix]", "-c:a", f"pcm_s{recording.bits_per_sample}le"]
    # Without -bitexact the header names the FFmpeg version, and the same recording differs from machine to machine.
    command += ["-bitexact", "-f", "wav", str(destination)]
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    except OSError as error:
        raise FfmpegMissingError(f"{ffmpeg_binary} cannot be run: {error.strerror}. Set FFMPEG_BINARY.") from error
    except subprocess.TimeoutExpired as error:
        raise EncodingError(f"FFmpeg took longer than 120 s to make the sample {recording.directory}.") from error
    if outcome.returncode:
        raise EncodingError(f"FFmpeg could not make the sample {recording.directory}: {outcome.stderr[-500:].strip()}")


def _filters(recording: DemoRecording) -> str:
    """The mix: clips one after the other, one speaker on the left and one on the right, over room noise."""
    rate_hz, seconds = recording.sample_rate_hz, recording.duration_seconds
    first_speaker = recording.turns[0].partition("-")[0]
    graph = []
    for index, clip in enumerate(recording.turns):
        on_the_left = clip.startswith(first_speaker)
        near, far = ("c0", "c1") if on_the_left else ("c1", "c0")
        graph.append(
            f"[{index}:a]aresample={rate_hz},apad=pad_dur=0.7,"
            f"pan=stereo|{near}=0.9*c0|{far}=0.3*c0,aformat=sample_fmts=flt[turn{index}]"
        )
    turns = "".join(f"[turn{index}]" for index in range(len(recording.turns)))
    graph.append(
        # aloop repeats at most `size` samples; 120 s is more than all clips together.
        f"{turns}concat=n={len(recording.turns)}:v=0:a=1,aloop=loop=-1:size={120 * rate_hz},atrim=end={seconds}[talk]"
    )
    for side, seed in (("left", 17), ("right", 25)):
        # Pink noise at this amplitude is about -65 dBFS: heard in a pause, not in speech.
        graph.append(
            f"anoisesrc=color=pink:amplitude=0.003:seed={seed}:sample_rate={rate_hz}:duration={seconds}[{side}]"
        )
    graph.append("[left][right]join=inputs=2:channel_layout=stereo[room]")
    # Resampling moves the end of the talk by a few samples; the last trim makes the length exact.
    graph.append(f"[talk][room]amix=inputs=2:duration=longest:normalize=0,atrim=end_sample={seconds * rate_hz}[mix]")
    return ";".join(graph)


def _metadata(recording: DemoRecording) -> str:
    speakers = "".join(f"    <Speaker>{escape(speaker)}</Speaker>\n" for speaker in recording.speakers)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Recording id={quoteattr(recording.directory)}>\n"
        f"  <Title>{escape(recording.title)}</Title>\n"
        f"  <Date>{recording.recorded_at:%Y-%m-%dT%H:%M:%SZ}</Date>\n"
        f"  <Speakers>\n{speakers}  </Speakers>\n"
        f"  <Location>{escape(recording.location)}</Location>\n"
        f'  <Audio sampleRate="{recording.sample_rate_hz}" bits="{recording.bits_per_sample}" channels="2"/>\n'
        "</Recording>\n"
    )


if __name__ == "__main__":
    create_recordings(Path(sys.argv[1]), find_ffmpeg().binary)
