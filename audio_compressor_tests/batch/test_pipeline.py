"""A batch against a real server: what becomes of good and bad recordings, and of those in a batch with a bad one."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from audio_compressor.batch.connections import SourceConnections
from audio_compressor.batch.model import Outcome, Product, Progress
from audio_compressor.batch.pipeline import process_batch
from audio_compressor.sftp.endpoint import Timeouts
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD
from audio_compressor_tests.fixtures.studio import Studio
from audio_compressor_tests.wav_files import (
    opposite_phase,
    silence,
    speech,
    tone,
    write_truncated_wav,
    write_wav,
)

GOOD = "10-17-25"
BAD = "10-17-25-01"


def process(
    studio: Studio,
    directories: Sequence[str],
    wanted: Collection[Product] = tuple(Product),
    progress: Progress | None = None,
    timeouts: Timeouts | None = None,
) -> dict[str, Outcome]:
    endpoint = studio.resources.sftp.endpoint()
    endpoint = replace(endpoint, timeouts=timeouts or endpoint.timeouts)
    with studio.resources.open_storage() as storage, SourceConnections().open(endpoint) as connection:
        tools = studio.resources.batch_tools(connection, storage)
        outcomes = list(process_batch(directories, wanted, tools, run_id="run", progress=progress))
    assert sorted(outcome.directory for outcome in outcomes) == sorted(directories)
    assert studio.leftovers() == []
    return {outcome.directory: outcome for outcome in outcomes}


def test_a_good_recording_is_published_with_its_metadata(studio: Studio) -> None:
    studio.add(GOOD)
    outcome = process(studio, [GOOD])[GOOD]
    assert (outcome.status, outcome.reason) == ("success", None)
    assert studio.results() == [f"{GOOD}_compressed.wav", f"{GOOD}_meta.xml"]
    assert outcome.compressed is not None
    assert outcome.compressed.compression.duration_seconds == pytest.approx(1.0, abs=0.05)
    assert outcome.compressed.stored.uri == (studio.output / f"{GOOD}_compressed.wav").as_uri()
    assert outcome.metadata is not None
    assert outcome.metadata.file is not None
    assert outcome.metadata.file.fields == {"Recording/Title": "Morning & evening"}
    assert {check.name for check in outcome.checks if not check.passed} == {"bitrate_honoured"}


def _missing_audio(studio: Studio) -> None:
    studio.add(BAD).unlink()


def _directory_gone(studio: Studio) -> None:
    """It was listed, and deleted before the download."""


def _empty(studio: Studio) -> None:
    studio.add_file(BAD, b"")


def _no_audio_at_all(studio: Studio) -> None:
    studio.add_file(BAD, b"These are the minutes of the meeting.\n" * 100)


def _too_large(studio: Studio) -> None:
    audio = studio.add(BAD)
    os.truncate(audio, 2_000_000_001)
    studio.settle(audio)


def _audio_is_a_directory(studio: Studio) -> None:
    (studio.recordings / BAD / "StereoMix.wav").mkdir(parents=True)


def _audio_is_a_pipe(studio: Studio) -> None:
    (studio.recordings / BAD).mkdir()
    os.mkfifo(studio.recordings / BAD / "StereoMix.wav")


@pytest.mark.parametrize(
    ("make", "status", "reason"),
    [
        (_missing_audio, "skipped", "no audio file"),
        (_directory_gone, "skipped", "no audio file"),
        (_empty, "failed", "is empty (0 bytes)"),
        (_no_audio_at_all, "failed", "audio"),
        (_too_large, "skipped", "2,000,000,001 bytes are more than MAX_FILE_SIZE_MB allows (2,000)"),
        (_audio_is_a_pipe, "failed", "is a directory or a device"),
        (_audio_is_a_directory, "failed", "is a directory or a device, not an audio file"),
    ],
)
def test_a_bad_recording_is_alone_with_its_reason(
    studio: Studio, make: Callable[[Studio], None], status: str, reason: str
) -> None:
    studio.add(GOOD)
    make(studio)
    outcomes = process(studio, [BAD, GOOD])
    assert outcomes[BAD].status == status
    assert reason in (outcomes[BAD].reason or "")
    assert outcomes[BAD].compressed is None
    assert outcomes[GOOD].status == "success"
    assert studio.results() == [f"{GOOD}_compressed.wav", f"{GOOD}_meta.xml"]


def test_a_truncated_wav_gives_what_is_there_and_says_so(studio: Studio) -> None:
    write_truncated_wav(studio.add(BAD), speech(4.0), keep=0.5)
    studio.settle(studio.recordings / BAD / "StereoMix.wav")
    compressed = process(studio, [BAD])[BAD].compressed
    assert compressed is not None
    assert compressed.compression.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert compressed.compression.source.repair is not None


@pytest.mark.parametrize("kind", ["u8", "s16", "s24", "s32", "f32", "f64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_every_kind_of_wav_is_taken(studio: Studio, kind: str, channels: int) -> None:
    write_wav(studio.add(GOOD), speech(0.5, channels=channels), kind=kind)  # type: ignore[arg-type]
    studio.settle(studio.recordings / GOOD / "StereoMix.wav")
    compressed = process(studio, [GOOD])[GOOD].compressed
    assert compressed is not None
    assert compressed.compression.duration_seconds == pytest.approx(0.5, abs=0.05)
    assert compressed.compression.levels.rms_dbfs > -50


def test_rf64_is_taken(studio: Studio) -> None:
    write_wav(studio.add(GOOD), speech(0.5), container="RF64")
    studio.settle(studio.recordings / GOOD / "StereoMix.wav")
    assert process(studio, [GOOD])[GOOD].status == "success"


def test_opposite_phase_is_not_summed_to_silence(studio: Studio) -> None:
    studio.add(GOOD, opposite_phase(tone(1.0)))
    compressed = process(studio, [GOOD])[GOOD].compressed
    assert compressed is not None
    assert compressed.compression.levels.rms_dbfs > -20
    assert "phase" in compressed.compression.mixdown


def test_digital_silence_succeeds_with_a_warning(studio: Studio) -> None:
    studio.add(GOOD, silence(1.0))
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.status == "success"
    audible = next(check for check in outcome.checks if check.name == "audible")
    assert (audible.passed, audible.severity) == (False, "warning")


@pytest.mark.parametrize("directory", ["Séance du soir", "録音 3", "take #1 'quoted' & more"])
def test_names_with_spaces_and_other_scripts(studio: Studio, directory: str) -> None:
    studio.add(directory)
    assert process(studio, [directory])[directory].status == "success"
    assert studio.results() == [f"{directory}_compressed.wav", f"{directory}_meta.xml"]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    ("metadata", "warning", "is_copied"),
    [
        (None, "no Meta.xml", False),
        ("<Recording><Title>", "", True),
        (BOMB, "", True),
        ("<x>" + "long " * 300_000 + "</x>", "", True),
        ("x" * 16_000_001, "too large, not copied", False),
    ],
    ids=["missing", "malformed", "entity bomb", "huge", "not a text at all"],
)
def test_odd_metadata_never_costs_the_audio(
    studio: Studio, metadata: str | None, warning: str, is_copied: bool
) -> None:
    studio.add(GOOD, metadata=metadata)
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.status == "success"
    assert outcome.metadata is not None
    assert outcome.metadata.warning is not None
    assert warning in outcome.metadata.warning
    copied = studio.output / f"{GOOD}_meta.xml"
    assert copied.exists() is is_copied
    if is_copied and metadata is not None:
        assert copied.read_text() == metadata


def test_a_pipe_in_place_of_the_metadata_does_not_stall_the_batch(studio: Studio) -> None:
    studio.add(GOOD, metadata=None)
    os.mkfifo(studio.recordings / GOOD / "Meta.xml")
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.status == "failed"
    assert outcome.compressed is not None
    assert studio.results() == [f"{GOOD}_compressed.wav"]


def test_metadata_is_shown_but_not_copied_when_it_should_not_be(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPY_METADATA", "false")
    studio.add(GOOD)
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.metadata is not None
    assert outcome.metadata.file is not None
    assert outcome.metadata.stored is None
    assert studio.results() == [f"{GOOD}_compressed.wav"]


def test_a_file_that_grows_during_the_download_is_never_a_mixture(studio: Studio) -> None:
    audio = studio.add(GOOD, speech(20.0))

    def grow(_offset: int) -> None:
        with audio.open("ab") as file:
            file.write(bytes(4))

    studio.server.faults.on_read = grow
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.status == "failed"
    assert "may still be written" in (outcome.reason or "")
    assert studio.results() == []


def test_a_pause_in_an_upload_does_not_make_it_whole(studio: Studio) -> None:
    """It had settled when it was found; a new upload began during the run, and stopped half-way for a moment."""
    audio = studio.add(GOOD, speech(20.0))
    whole = audio.read_bytes()

    def begin_new_upload(_offset: int) -> None:
        studio.server.faults.on_read = None
        audio.write_bytes(whole[: len(whole) // 2])

    studio.server.faults.on_read = begin_new_upload
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.status == "failed"
    assert "may still be written" in (outcome.reason or "")
    assert studio.results() == []


def test_a_dropped_connection_is_made_again(studio: Studio) -> None:
    studio.add(GOOD, speech(20.0))
    studio.server.faults.drop_after_read_bytes = 1_000_000
    assert process(studio, [GOOD])[GOOD].status == "success"
    assert studio.server.faults.drop_after_read_bytes is None


class _StallsOne(Progress):
    """The server is silent for as long as this recording is being downloaded."""

    def __init__(self, studio: Studio, directory: str) -> None:
        self._stall, self._directory = studio.server.faults.stall_reads, directory
        self.attempts = 0

    def downloading(self, directory: str) -> None:
        if directory == self._directory:
            self.attempts += 1
            self._stall.set()
        else:
            self._stall.clear()


def test_a_server_that_stalls_costs_one_recording(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RETRIES", "2")
    directories = ["10-16-25", GOOD, BAD, "10-18-25"]
    for directory in directories:
        studio.add(directory)
    stalling = _StallsOne(studio, BAD)
    outcomes = process(studio, directories, progress=stalling, timeouts=Timeouts(5, 10, 10, channel_seconds=0.5))
    assert {key for key, outcome in outcomes.items() if outcome.status == "success"} == set(directories) - {BAD}
    assert outcomes[BAD].status == "failed"
    assert "did not answer" in (outcomes[BAD].reason or ""), outcomes[BAD].reason
    assert stalling.attempts == 2


def test_an_unreadable_file_fails_alone(studio: Studio) -> None:
    studio.add(GOOD)
    studio.server.faults.refuse_reads = asyncssh.SFTPPermissionDenied("not for you")
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.status == "failed"
    assert "denies permission" in (outcome.reason or "")


def test_a_server_that_refuses_us_is_asked_once(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD + "!")
    directories = [f"10-{day}-25" for day in range(10, 20)]
    outcomes = process(studio, directories)
    assert {outcome.status for outcome in outcomes.values()} == {"failed"}
    assert studio.server.connections == 1
    assert not any(PASSWORD + "!" in (outcome.reason or "") for outcome in outcomes.values())


def test_too_little_staging_space_is_said_before_the_first_byte(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = studio.add(GOOD)
    os.truncate(audio, shutil.disk_usage(studio.recordings).free)  # sparse: it takes no space
    studio.settle(audio)
    monkeypatch.setenv("MAX_FILE_SIZE_MB", "1e12")
    outcome = process(studio, [GOOD])[GOOD]
    assert outcome.status == "failed"
    assert "are needed" in (outcome.reason or "")
    assert not studio.server.faults.reading.is_set()


def test_only_what_is_wanted_is_made(studio: Studio) -> None:
    studio.add(GOOD)
    raw = process(studio, [GOOD], {Product.RAW_AUDIO})[GOOD]
    assert (raw.download is not None, raw.compressed, raw.metadata) == (True, None, None)
    metadata = process(studio, [GOOD], {Product.RECORDING_METADATA})[GOOD]
    assert (metadata.download, metadata.compressed, metadata.metadata is not None) == (None, None, True)
    assert studio.results() == [f"{GOOD}_meta.xml"]


def test_the_same_content_is_written_once_and_other_content_beside_it(studio: Studio) -> None:
    studio.add(GOOD)
    process(studio, [GOOD])
    again = process(studio, [GOOD])[GOOD].compressed
    assert again is not None
    assert again.stored.was_there
    assert len(studio.results()) == 2

    write_wav(studio.recordings / GOOD / "StereoMix.wav", tone(1.0))
    studio.settle(studio.recordings / GOOD / "StereoMix.wav")
    changed = process(studio, [GOOD])[GOOD].compressed
    assert changed is not None
    assert changed.stored.is_duplicate
    assert changed.stored.name in studio.results()
    assert f"{GOOD}_compressed.wav" in studio.results()


def test_an_interrupted_batch_leaves_nothing_behind(studio: Studio) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes of a shell ignore it
    for directory in (GOOD, BAD):
        studio.add(directory)
    studio.server.faults.stall_reads.set()
    endpoint = studio.resources.sftp.endpoint()
    with studio.resources.open_storage() as storage, SourceConnections().open(endpoint) as connection:
        tools = studio.resources.batch_tools(connection, storage)
        batch = process_batch([GOOD, BAD], tuple(Product), tools, run_id="run")
        interrupted = threading.Thread(target=_interrupt_when, args=[studio.server.faults.reading])
        interrupted.start()
        with closing(batch), pytest.raises(KeyboardInterrupt):
            next(batch)
    interrupted.join()
    assert studio.leftovers() == []
    assert studio.results() == []


def _interrupt_when(event: threading.Event) -> None:
    event.wait(10)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("left_bytes", [0, 300_000])
def test_a_full_destination_harms_nothing_and_stops_nobody_else(
    studio: Studio, small_disk: Path, monkeypatch: pytest.MonkeyPatch, left_bytes: int
) -> None:
    """It is full at the first byte of a result, and the other one needs no room; or in the middle of it, and the other
    one fits.
    """
    monkeypatch.setenv("OUTPUT_DIR", str(small_disk))
    monkeypatch.setenv("ENCODE_WORKERS", "1")  # in this order
    studio.output = small_disk
    studio.add(GOOD, tone(2.0))
    assert process(studio, [GOOD])[GOOD].status == "success"
    before = {path: path.read_bytes() for path in small_disk.iterdir()}
    if left_bytes:
        write_wav(studio.recordings / GOOD / "StereoMix.wav", tone(3.0))
        studio.settle(studio.recordings / GOOD / "StereoMix.wav")
    studio.add(BAD, speech(20.0), metadata=None)  # 640 kB
    _fill(small_disk, left_bytes)

    outcomes = process(studio, [BAD, GOOD])
    assert outcomes[BAD].status == "failed"
    assert f"No space left for {small_disk}/{BAD}_compressed.wav" in str(outcomes[BAD].reason)
    assert outcomes[GOOD].status == "success", outcomes[GOOD].reason
    published = outcomes[GOOD].compressed
    assert published is not None
    assert published.stored.was_there == (left_bytes == 0)
    assert (small_disk / published.stored.name).stat().st_size == published.stored.size_bytes
    assert {path: path.read_bytes() for path in before} == before
    assert names_in(small_disk) == sorted({*(path.name for path in before), published.stored.name, "ballast"})


def _fill(disk: Path, left_bytes: int) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))
    os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - left_bytes)


def test_staging_holds_a_bounded_number_of_recordings(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODE_WORKERS", "1")
    directories = [f"10-{day}-25" for day in range(10, 20)]
    for directory in directories:
        studio.add(directory, speech(0.2))
    watcher = _StagingWatcher(studio.staging)
    process(studio, directories, progress=watcher)
    # One that is encoded and one that is downloaded; outputs of one that is encoded and one that is published.
    assert watcher.most_originals <= 2
    assert 1 <= watcher.most_recordings <= 4


class _StagingWatcher(Progress):
    def __init__(self, staging: Path) -> None:
        self.most_recordings = 0
        self.most_originals = 0
        self._staging = staging

    def downloading(self, directory: str) -> None:  # noqa: ARG002 - any of them will do
        self.most_recordings = max(self.most_recordings, len(list(self._staging.glob("run/*-*-*"))))
        self.most_originals = max(self.most_originals, len(list(self._staging.glob("run/*-*-*/*StereoMix.wav*"))))
