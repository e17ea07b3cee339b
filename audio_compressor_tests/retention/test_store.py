"""Audio that is handed in: kept whole or not at all, where nothing leads out."""

import io
import json
import os
import signal
import stat
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.errors import (
    AccessDeniedError,
    NotAudioError,
    OutOfSpaceError,
    PermanentError,
    SourceChangedError,
    StorageError,
)
from audio_compressor.retention.state import EXTENSIONS, JobState, audio_name, is_job_id
from audio_compressor.retention.store import AudioStore
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.retention.workers import save_and_be_killed

JOB = "0d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"
OTHER = "1d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"
BAD_IDS = ["", ".", "..", "../x", "a/b", f"../{JOB}", f"{JOB}/..", f"{JOB}\0", f"{JOB}.wav", JOB.upper(), f"{JOB}\n"]


def document(store: AudioStore) -> dict[str, str]:
    found: dict[str, str] = json.loads((store.directory / f"{JOB}.json").read_text())
    return found


# -- saving


@pytest.mark.parametrize("as_stream", [False, True])
def test_what_is_saved_is_all_of_it_and_private(store: AudioStore, talk: Path, as_stream: bool) -> None:
    with talk.open("rb") as file:
        stored = store.save(file if as_stream else talk, "My talk.WAV", JOB)
    assert stored.path == store.directory / f"{JOB}.wav" == store.path(JOB)
    assert stored.path.read_bytes() == talk.read_bytes()
    assert stored.space is not None
    assert names_in(store.directory) == [f"{JOB}.json", f"{JOB}.wav"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.directory.iterdir()} == {0o600}
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    assert store.state(JOB) == stored.state
    assert (document(store)["status"], document(store)["original_name"]) == ("pending", "My talk.WAV")
    assert document(store)["created_at"].endswith("+00:00")


def test_a_stream_of_unknown_length_is_saved(store: AudioStore, talk: Path) -> None:
    read_end, write_end = os.pipe()
    content = talk.read_bytes()[:10_000]
    with os.fdopen(read_end, "rb") as readable:
        with os.fdopen(write_end, "wb") as writable:
            writable.write(content)
        assert store.save(readable, "talk.webm", JOB).path.read_bytes() == content


@pytest.mark.parametrize(
    "name", ["notes.txt", "talk", "talk.json", "talk.part", "talk.wav/x", ".wav", "", "wav", "a.w\0av"]
)
def test_what_is_not_named_as_audio_is_refused(store: AudioStore, talk: Path, name: str) -> None:
    with pytest.raises(NotAudioError, match="allowed: aac, "):
        store.save(talk, name, JOB)
    assert not store.directory.exists()


@pytest.mark.parametrize("job_id", BAD_IDS)
def test_an_id_that_is_no_uuid_is_refused_everywhere(store: AudioStore, talk: Path, job_id: str) -> None:
    for use in (
        lambda: store.save(talk, "talk.wav", job_id),
        lambda: store.path(job_id),
        lambda: store.begin(job_id).__enter__(),
        lambda: store.finish(job_id, "completed"),
        lambda: store.delete(job_id),
    ):
        with pytest.raises(PermanentError, match="is not the id of a job"):
            use()
    assert not store.directory.exists()


@given(st.text(), st.text())
def test_no_name_leads_out(job_id: str, original_name: str) -> None:
    try:
        name = audio_name(job_id, original_name)
    except PermanentError:
        return
    assert is_job_id(job_id)
    assert name.removeprefix(f"{job_id}.") in EXTENSIONS


@given(st.text(max_size=5), st.sampled_from(sorted(EXTENSIONS)))
def test_nothing_of_a_name_but_its_extension_is_used(stem: str, extension: str) -> None:
    assert audio_name(JOB, f"../{stem}x.{extension.upper()}") == f"{JOB}.{extension}"


def test_an_id_is_used_once(store: AudioStore, talk: Path) -> None:
    first = store.save(talk, "a.wav", JOB)
    for name in ("a.wav", "a.mp3"):
        with pytest.raises(PermanentError, match="is there already"):
            store.save(io.BytesIO(b"other"), name, JOB)
    assert first.path.read_bytes() == talk.read_bytes()
    assert store.state(JOB) == first.state
    assert len(names_in(store.directory)) == 2


def test_audio_that_is_no_jobs_is_not_replaced(store: AudioStore, talk: Path) -> None:
    store.directory.mkdir()
    (store.directory / f"{JOB}.wav").write_bytes(b"somebody's")
    with pytest.raises(PermanentError, match="is there already"):
        store.save(talk, "a.wav", JOB)
    assert {path.name: path.read_bytes() for path in store.directory.iterdir()} == {f"{JOB}.wav": b"somebody's"}


class Shrinking(io.BytesIO):
    """As a file that is cut off while it is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        self.truncate(500)
        return super().read(size)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (io.BytesIO(), NotAudioError),
        (Shrinking(bytes(1000)), SourceChangedError),
        (Path("/nowhere/a.wav"), StorageError),
    ],
)
def test_what_cannot_be_saved_leaves_nothing(
    store: AudioStore, source: BinaryIO | Path, error: type[Exception]
) -> None:
    store.directory.mkdir()
    with pytest.raises(error):
        store.save(source, "talk.wav", JOB)
    assert names_in(store.directory) == []


def test_too_little_space_is_told_before_the_first_byte(small_disk: Path, talk: Path) -> None:
    with pytest.raises(OutOfSpaceError, match="nothing is begun with less than 10 MB"):
        AudioStore(small_disk / "store").save(talk, "talk.wav", JOB)
    assert names_in(small_disk) == []


def test_low_space_is_shown(tmp_path: Path, talk: Path) -> None:
    space = AudioStore(tmp_path / "store", warning_bytes=10**18).save(talk, "talk.wav", JOB).space
    assert space is not None
    assert space.is_low


def test_a_saver_that_is_killed_leaves_nothing_half(store: AudioStore, talk: Path) -> None:
    """At every step: either there is all of it, or nothing that anybody takes for audio; and it can be saved again."""
    step, codes = 1, list[int]()
    while not codes or codes[-1] != 0:
        job_id = str(uuid.uuid4())
        codes.append(save_and_be_killed(store.directory, job_id, talk, step))
        audio = store.directory / f"{job_id}.wav"
        if audio.exists():
            assert audio.read_bytes() == talk.read_bytes()
            assert store.state(job_id).status == "pending"
        else:
            assert store.save(talk, "talk.wav", job_id).path.read_bytes() == talk.read_bytes()
        step += 1
    assert codes[:-1] == [-signal.SIGKILL] * (step - 2)
    assert step > 4
    assert [name for name in names_in(store.directory) if name.startswith(".")] == []


# -- paths


@pytest.mark.parametrize("made_by", ["symlink", "mkdir", "fifo"])
def test_what_is_no_plain_file_is_refused(store: AudioStore, talk: Path, tmp_path: Path, made_by: str) -> None:
    path = store.save(talk, "talk.wav", JOB).path
    path.unlink()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    if made_by == "symlink":
        path.symlink_to(secret)
    elif made_by == "mkdir":
        path.mkdir()
    else:
        os.mkfifo(path)
    for use in (lambda: store.path(JOB), lambda: store.begin(JOB).__enter__(), lambda: store.delete(JOB)):
        with pytest.raises(AccessDeniedError, match="is no plain file"):
            use()
    assert os.path.lexists(path)
    assert secret.read_text() == "secret"


@pytest.mark.parametrize(
    "change",
    [
        {"file_name": "../secret.wav"},
        {"file_name": "/etc/passwd"},
        {"file_name": f"{OTHER}.wav"},
        {"file_name": f"{JOB}.json"},
        {"file_name": f"{JOB}.wav\0"},
        {"job_id": OTHER},
        {"status": "gone"},
        {"status": ["pending"]},
        {"status": "completed", "finished_at": None},
        {"created_at": "yesterday"},
        {"created_at": "2026-01-01T00:00:00"},
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"original_name": 7},
    ],
)
def test_a_state_that_makes_no_sense_is_refused(store: AudioStore, talk: Path, change: dict[str, object]) -> None:
    store.save(talk, "talk.wav", JOB)
    state = store.directory / f"{JOB}.json"
    state.write_text(json.dumps({**document(store), **change}))
    for use in (lambda: store.path(JOB), lambda: store.delete(JOB)):
        with pytest.raises(StorageError, match="does not tell the state of its job"):
            use()
    assert len(names_in(store.directory)) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_a_state_that_is_no_json_is_refused(store: AudioStore, talk: Path, content: bytes) -> None:
    store.save(talk, "talk.wav", JOB)
    (store.directory / f"{JOB}.json").write_bytes(content)
    with pytest.raises(StorageError, match="does not tell the state of its job"):
        store.state(JOB)


def test_what_nobody_has_saved(store: AudioStore) -> None:
    for use in (lambda: store.path(JOB), lambda: store.begin(JOB).__enter__(), lambda: store.finish(JOB, "failed")):
        with pytest.raises(PermanentError, match=f"No audio is kept for job {JOB}"):
            use()
    assert store.delete(JOB) == "missing"
    assert not store.directory.exists()


@given(st.text(), st.none() | st.text(max_size=50), st.datetimes(timezones=st.timezones()))
def test_a_state_is_read_as_it_was_written(name: str, error: str | None, at: datetime) -> None:
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        return
    state = JobState(JOB, "failed", f"{JOB}.wav", name, at, at, at, error)
    read = JobState.from_json(JOB, state.to_json())
    assert JobState.from_json(JOB, read.to_json()) == read
    assert (read.original_name, read.created_at, read.finished_at) == (name, at, at)
