import hashlib
import re
import struct
import subprocess
import threading
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from math import log10, sqrt
from pathlib import Path
from typing import TypeAlias

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.demo.recordings import (
    AUDIO_NAME,
    CLIPS,
    METADATA_NAME,
    RECORDINGS,
    DemoRecording,
    add_recording,
    create_recordings,
    next_directory,
)
from audio_compressor.errors import EncodingError, FfmpegMissingError
from audio_compressor.recording import recorded_on, why_unusable
from audio_compressor.settings import DOCUMENT_DIR_PATTERN
from audio_compressor.xml_metadata import read_metadata

# array.array takes no type argument at run time before Python 3.12.
Samples: TypeAlias = "array[int]"

FFMPEG = Path(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audio")
    started = time.monotonic()
    create_recordings(root, FFMPEG)
    # 1.0 s on two idle cores; the bound is for a machine that has other work.
    assert time.monotonic() - started < 15
    return root


def as_stored(audio: Path, bits_per_sample: int) -> bytes:
    """The samples of a whole file as they are, without the header."""
    raw = ("-c", "copy", "-f", f"s{bits_per_sample}le", "-")
    command = (FFMPEG, "-nostdin", "-v", "error", "-xerror", "-i", audio, *raw)
    return subprocess.run(command, capture_output=True, check=True).stdout


def decoded(audio: Path) -> tuple[Samples, Samples]:
    """Both channels as 16-bit samples at 8 kHz."""
    raw = subprocess.run(
        [FFMPEG, "-nostdin", "-v", "error", "-xerror", "-i", audio, "-ar", "8000", "-f", "s16le", "-"],
        capture_output=True,
        check=True,
    ).stdout
    samples = array("h", raw)
    return samples[0::2], samples[1::2]


def rms_dbfs(samples: Samples) -> float:
    return 20 * log10(sqrt(sum(sample * sample for sample in samples) / len(samples)) / 32768)


def state_of(root: Path) -> dict[str, tuple[str, int, int]]:
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
            path.stat().st_ino,
        )
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.directory)
def test_a_recording_is_speech_in_stereo(root: Path, recording: DemoRecording) -> None:
    audio = root / recording.directory / AUDIO_NAME
    opened = subprocess.run([FFMPEG, "-nostdin", "-i", audio], capture_output=True, text=True, check=False).stderr
    kind = rf"pcm_s{recording.bits_per_sample}le.*, {recording.sample_rate_hz} Hz, stereo"
    assert re.search(kind, opened), opened
    frames = len(as_stored(audio, recording.bits_per_sample)) * 8 // (2 * recording.bits_per_sample)
    assert frames == recording.sample_rate_hz * recording.duration_seconds

    left, right = decoded(audio)
    assert -35 < rms_dbfs(left) < -15
    assert -35 < rms_dbfs(right) < -15
    apart = array("h", (max(-32768, min(32767, a - b)) for a, b in zip(left, right, strict=True)))
    assert rms_dbfs(apart) > -35, "both channels are the same"
    assert max(map(abs, left)) < 32000, "clipped"
    assert max(map(abs, right)) < 32000, "clipped"


def test_both_voices_are_heard_on_their_side(root: Path) -> None:
    left, right = decoded(root / "10-21-25" / AUDIO_NAME)
    first, second = slice(8_000, 48_000), slice(72_000, 136_000)  # anna 0 to 7.7 s, ben from 8.4 s
    assert rms_dbfs(left[first]) > rms_dbfs(right[first]) + 6
    assert rms_dbfs(right[second]) > rms_dbfs(left[second]) + 6


def test_pauses_hold_room_noise_and_not_digital_silence(root: Path) -> None:
    left, right = decoded(root / "10-21-25" / AUDIO_NAME)
    for channel in (left, right):
        quietest = min(rms_dbfs(channel[start : start + 800]) for start in range(0, len(channel) - 800, 800))
        assert -80 < quietest < -50


def test_24_bit_recordings_use_all_24_bits(root: Path) -> None:
    samples = as_stored(root / "10-17-25-01" / AUDIO_NAME, 24)
    assert len(set(samples[0:300_000:3])) > 200, "the lowest byte carries no signal"


def test_the_set_is_varied_and_small() -> None:
    names = [recording.directory for recording in RECORDINGS]
    matching = [recording for recording in RECORDINGS if re.match(DOCUMENT_DIR_PATTERN, recording.directory)]
    assert len(set(names)) == 7
    assert [recording.directory for recording in RECORDINGS if recording not in matching] == ["backup of october"]
    assert all(why_unusable(name) is None for name in names)
    assert {recording.sample_rate_hz for recording in matching} == {44_100, 48_000}
    assert {recording.bits_per_sample for recording in matching} == {16, 24}
    assert min(recording.duration_seconds for recording in matching) == 20
    assert max(recording.duration_seconds for recording in matching) == 180
    assert {clip.stem for clip in CLIPS.glob("*.opus")} == {clip for item in RECORDINGS for clip in item.turns}
    assert sum(clip.stat().st_size for clip in CLIPS.iterdir()) < 300_000


def test_total_size(root: Path) -> None:
    assert 80e6 < sum(path.stat().st_size for path in root.rglob("*.wav")) < 100e6


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.directory)
def test_metadata_says_what_the_recording_is(root: Path, recording: DemoRecording) -> None:
    metadata = read_metadata(root / recording.directory / METADATA_NAME)
    assert metadata.warning is None
    assert metadata.fields["Recording@id"] == recording.directory
    assert metadata.fields["Recording/Title"] == recording.title
    assert metadata.fields["Recording/Location"] == recording.location
    assert metadata.fields["Recording/Speakers/Speaker"] == recording.speakers[0]
    assert metadata.fields["Recording/Speakers/Speaker[2]"] == recording.speakers[1]
    assert datetime.fromisoformat(metadata.fields["Recording/Date"]) == recording.recorded_at


def test_one_title_is_not_ascii() -> None:
    assert any(not recording.title.isascii() for recording in RECORDINGS)


def test_files_are_dated_to_the_end_of_the_recording(root: Path) -> None:
    for recording in RECORDINGS:
        for name in (AUDIO_NAME, METADATA_NAME):
            modified_at = datetime.fromtimestamp((root / recording.directory / name).stat().st_mtime, UTC)
            assert (modified_at - recording.recorded_at).total_seconds() == recording.duration_seconds
        assert recorded_on(recording.directory) in {recording.recorded_at.date(), None}


def test_a_second_call_changes_nothing_and_a_missing_file_comes_back_the_same(root: Path) -> None:
    before = state_of(root)
    create_recordings(root, FFMPEG)
    assert state_of(root) == before

    missing = root / "10-21-25" / AUDIO_NAME
    digest, modified_at, _ = before["10-21-25/StereoMix.wav"]
    missing.unlink()
    (missing.parent / ".StereoMix.wav.part").write_bytes(b"left by a killed run")
    create_recordings(root, FFMPEG)
    after = state_of(root)
    assert after.keys() == before.keys(), "a part file stayed"
    assert after["10-21-25/StereoMix.wav"][:2] == (digest, modified_at)


def test_what_a_person_put_there_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "10-17-25" / AUDIO_NAME
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    create_recordings(tmp_path, FFMPEG)
    assert mine.read_bytes() == b"mine"


def test_a_recording_arrives_while_one_watches(tmp_path: Path) -> None:
    stop = threading.Event()
    audio = tmp_path / "11-05-25" / AUDIO_NAME
    with ThreadPoolExecutor() as pool:
        arriving = pool.submit(add_recording, tmp_path, FFMPEG, "11-05-25", upload_seconds=3600, stop=stop)
        while not (audio.exists() and audio.stat().st_size) and not arriving.done():
            time.sleep(0.01)
        size_bytes = audio.stat().st_size
        (data_bytes,) = struct.unpack("<I", audio.read_bytes()[40:44])
        stop.set()
        assert arriving.result(timeout=30) is None
    assert 0 < size_bytes < data_bytes
    assert list(tmp_path.iterdir()) == []


def test_what_arrived_is_complete_and_new(tmp_path: Path) -> None:
    started = time.time()
    recording = add_recording(tmp_path, FFMPEG, "11-05-25", upload_seconds=0)
    assert recording is not None
    audio = tmp_path / "11-05-25" / AUDIO_NAME
    left, _ = decoded(audio)
    assert len(left) == pytest.approx(8000 * recording.duration_seconds, abs=8)
    assert audio.stat().st_mtime >= started - 1
    assert sorted(path.name for path in audio.parent.iterdir()) == [METADATA_NAME, AUDIO_NAME]
    assert read_metadata(audio.with_name(METADATA_NAME)).fields["Recording@id"] == "11-05-25"


def test_without_ffmpeg_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(FfmpegMissingError, match="no-such-ffmpeg cannot be run"):
        create_recordings(tmp_path, Path("/no-such-ffmpeg"))


def test_a_failing_ffmpeg_is_an_error_and_leaves_no_recording(tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match="could not make the sample 10-17-25"):
        create_recordings(tmp_path, Path("/bin/false"))
    assert list(tmp_path.rglob(AUDIO_NAME)) == []


def test_names_of_what_comes_next() -> None:
    today = date(2025, 10, 17)
    assert next_directory([], today) == "10-17-25"
    assert next_directory(["10-17-25", "10-16-25-07", "backup of october"], today) == "10-17-25-01"
    assert next_directory(["10-17-25", "10-17-25-04"], today) == "10-17-25-05"
    assert next_directory(["10-17-25-99"], today) == "10-18-25"


@given(st.dates(date(2000, 1, 1), date(2098, 12, 31)), st.sets(st.integers(0, 99)))
def test_the_next_name_is_new_and_a_recording(today: date, takes: set[int]) -> None:
    existing = [f"{today:%m-%d-%y}-{take:02d}" if take else f"{today:%m-%d-%y}" for take in takes]
    name = next_directory(existing, today)
    assert name not in existing
    assert re.match(DOCUMENT_DIR_PATTERN, name)
    assert recorded_on(name) is not None
