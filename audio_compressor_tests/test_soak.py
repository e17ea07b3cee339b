"""A short soak finds nothing; and its judge finds each kind of thing that could be lost, wrong or left over."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import dagster as dg
import numpy as np
import pytest

from audio_compressor_tests.soak.endings import judge_ending
from audio_compressor_tests.soak.judge import Finding, Judge
from audio_compressor_tests.soak.ledger import open_home
from audio_compressor_tests.soak.listening import listen
from audio_compressor_tests.soak.melody import LISTENING_RATE_HZ, Melody
from audio_compressor_tests.soak.night import Ending
from audio_compressor_tests.soak.processes import TOKEN, wait_for_the_end
from audio_compressor_tests.soak.sources import KINDS, Version
from audio_compressor_tests.soak.tally import Tally
from audio_compressor_tests.soak.world import CHECKOUT, World, new_world
from audio_compressor_tests.wav_files import sample_bytes, write_wav

A_FEW = ("kill -9 command", "source rewritten", "SIGTERM")
SOME_CODES = frozenset({0, 1})


@pytest.mark.long
def test_a_short_soak_finds_nothing(tmp_path: Path) -> None:
    done = short_soak(tmp_path / "soak", 2, *A_FEW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: 0; wrong: 0; left over: 0" in done.stdout
    injected = dict(re.findall(r"^  (\S.*?) +(\d+)(?: \(\d+\))?$", done.stdout, re.MULTILINE))
    assert injected == {**dict.fromkeys(A_FEW, "1"), "all": str(len(A_FEW))}, done.stderr
    # The kernel's word for it, and not ours.
    assert re.search(r"^#\d+ kill -9 command at .* exit .*-9", done.stderr, re.MULTILINE), done.stderr


@pytest.mark.long
def test_a_short_soak_of_the_sftp_destination_finds_nothing(tmp_path: Path) -> None:
    """Everything goes to the fallback, and to the server in the last night."""
    done = short_soak(tmp_path / "soak", 1, "upload refused")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^  upload refused +1$", done.stdout, re.MULTILINE), done.stderr
    assert "lost: 0; wrong: 0; left over: 0" in done.stdout


def short_soak(directory: Path, seed: int, *kinds: str) -> "subprocess.CompletedProcess[str]":
    """One round of each kind."""
    options = ["--rounds", str(len(kinds)), "--seed", str(seed), "--directory", str(directory), "--only", *kinds]
    command = [sys.executable, "-m", "audio_compressor_tests.soak", *options]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # so that it ends what it has started and mounted
            out, err = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@dataclass(frozen=True)
class Morning:
    """After a night without faults, with everything as it should be; tests spoil it, and it is put right again."""

    world: World
    started_at_seconds: float

    @property
    def names(self) -> list[str]:
        return self.world.sources.directories()

    def published(self, number: int) -> Path:
        return self.world.output / f"{self.names[number]}_compressed.wav"

    def judge(self) -> Judge:
        """One that has seen the world as it is now."""
        judge = Judge(self.world)
        assert list(judge.outputs(judge.ledger())) == []
        return judge

    def found(self, judge: Judge) -> list[Finding]:
        ledger = judge.ledger()
        return [
            *judge.outputs(ledger),
            *judge.completeness(ledger, self.started_at_seconds),
            *judge.duplicates(),
            *judge.leftovers(ledger, reconciled=True),
        ]


@pytest.fixture(scope="module")
def one_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    with new_world(tmp_path_factory.mktemp("soak") / "world", seed=4) as world:
        random = Random(5)  # noqa: S311
        for _ in range(3):
            world.sources.add(random)
        started_at_seconds = time.time()
        night = world.start_night("one")
        while night.is_running:
            time.sleep(0.05)
        assert night.ending().code == 0, night.ending().err
        yield Morning(world, started_at_seconds)


@pytest.fixture
def morning(one_night: Morning, tmp_path: Path) -> Iterator[Morning]:
    world = one_night.world
    spoilable = (world.output, world.archive, world.staging, world.home)
    for path in spoilable:
        shutil.copytree(path, tmp_path / path.name)
    yield one_night
    for path in spoilable:
        for entry in path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(tmp_path / path.name, path, dirs_exist_ok=True)


def cut(morning: Morning) -> None:
    path = morning.published(0)
    os.truncate(path, path.stat().st_size // 2)


def garble(morning: Morning) -> None:
    morning.published(0).write_bytes(b"no audio at all" * 100)


def swap(morning: Morning) -> None:
    first, second = morning.published(0), morning.published(1)
    first.rename(morning.world.output / "aside")
    second.rename(first)
    (morning.world.output / "aside").rename(second)


def mix(morning: Morning) -> None:
    """The second half is of another melody: what a download of a source that changed would give."""
    melody = morning.world.sources.current(morning.names[0]).melody
    ours, other = (
        Melody(seed, melody.seconds).sound(channels=1, sample_rate_hz=16_000, level_dbfs=-12)
        for seed in (melody.seed, 99)
    )
    half = len(ours) // 2
    write_wav(morning.published(0), np.vstack([ours[:half], other[half:]]), sample_rate_hz=16_000)


def remove(morning: Morning) -> None:
    morning.published(0).unlink()


def publish_twice(morning: Morning) -> None:
    path = morning.published(0)
    shutil.copyfile(path, path.with_name(f"{path.stem}_20250101_020000.wav"))


def lose_metadata(morning: Morning) -> None:
    (morning.world.output / f"{morning.names[0]}_meta.xml").unlink()


def leave_a_part(morning: Morning) -> None:
    (morning.world.output / ".x_compressed.wav.part").write_bytes(b"half")


def leave_a_download(morning: Morning) -> None:
    (morning.world.staging / "some-run" / "recording").mkdir(parents=True)


def leave_a_part_on_the_server(morning: Morning) -> None:
    (morning.world.archive / ".x_compressed.wav.0123abcd.part").write_bytes(b"half")


def leave_it_stranded(morning: Morning) -> None:
    (morning.world.output / ".x_compressed.wav.stranded").write_text("{}")


def move_to_the_server_unnoted(morning: Morning) -> None:
    path = morning.published(0)
    shutil.move(path, morning.world.archive / path.name)


def leave_a_run(morning: Morning) -> None:
    @dg.job
    def something() -> None:
        pass

    with open_home(morning.world.home) as instance:
        instance.create_run_for_job(something, status=dg.DagsterRunStatus.STARTED)


@pytest.mark.parametrize(
    ("spoil", "verdict", "text"),
    [
        (cut, "wrong", "plays no version of its source"),
        (cut, "lost", "has other content now"),
        (garble, "wrong", "does not decode to its end"),
        (swap, "wrong", "plays no version of its source"),
        (swap, "wrong", "has another SHA-256"),
        (mix, "wrong", "wrong notes"),
        (remove, "lost", "is green, and its file"),
        (remove, "lost", "is gone"),
        (publish_twice, "left over", "plays the same"),
        (lose_metadata, "lost", "_meta.xml"),
        (leave_a_part, "left over", ".part"),
        (leave_a_part_on_the_server, "left over", "0123abcd.part"),
        (leave_it_stranded, "left over", ".stranded"),
        (move_to_the_server_unnoted, "lost", "is green, and its file"),
        (leave_a_download, "left over", "some-run"),
        (leave_a_run, "left over", "STARTED"),
    ],
)
def test_what_is_spoiled_is_found(morning: Morning, spoil: Callable[[Morning], None], verdict: str, text: str) -> None:
    judge = morning.judge()
    assert morning.found(judge) == []
    spoil(morning)
    found = morning.found(judge)
    assert [finding for finding in found if finding.verdict == verdict and text in str(finding)], found


def test_what_was_not_processed_is_found(tmp_path: Path, one_night: Morning) -> None:
    """Last of those that need the night: the sources stay changed."""
    judge, sources = one_night.judge(), one_night.world.sources
    random = Random(6)  # noqa: S311
    new = sources.add(random)
    sources.change(one_night.names[0], "rewrite", random)
    ledger = judge.ledger()
    later = [str(finding) for finding in judge.completeness(ledger, time.time() + 60)]
    assert later == [
        f"wrong: {one_night.names[0]}: it is green for a version of its source that is no longer there",
        f"lost: {new.directory}: it is unknown after a night that should have done it",
    ]
    assert list(judge.completeness(ledger, one_night.started_at_seconds)) == []  # that night could not know


def test_a_file_makes_place_for_a_newer_version_only(one_night: Morning) -> None:
    """And only where settings say so. Its receipt may be an older one's: the recording is outstanding then."""
    world, path, name = one_night.world, one_night.published(0), one_night.names[0]
    older = world.sources.change(name, "rewrite", Random(7))  # noqa: S311
    newer = world.sources.change(name, "rewrite", Random(8))  # noqa: S311

    def found(first: Version, then: Version, *, may_replace: bool) -> list[str]:
        play(first, path)
        judge = Judge(world)
        assert list(judge.outputs(judge.ledger())) == []
        play(then, path)
        return [str(finding) for finding in judge.outputs(judge.ledger(), may_replace=may_replace)]

    lost = [f"lost: output/{path.name}: it was published, and has other content now"]
    assert found(older, newer, may_replace=True) == []
    assert found(older, newer, may_replace=False) == lost
    assert found(newer, older, may_replace=True) == lost


def play(version: Version, path: Path) -> None:
    write_wav(path, version.melody.sound(channels=1, sample_rate_hz=16_000, level_dbfs=-12), sample_rate_hz=16_000)


GOOD = Ending("night", 0, "1 of 1", "")
TERMINATED = replace(GOOD, code=130, signal_number=signal.SIGTERM, signal_was_caught=True, seconds_after_signal=0.4)


@pytest.mark.parametrize(
    "ending",
    [
        GOOD,
        replace(GOOD, code=1),
        TERMINATED,
        replace(TERMINATED, code=-15, signal_was_caught=False),
        replace(TERMINATED, code=-2, signal_was_caught=False, err="Traceback (most recent call last):"),
        replace(TERMINATED, code=0, signal_came_late=True),
        replace(GOOD, code=-9, signal_number=signal.SIGKILL, err="Traceback (most recent call last):"),
    ],
)
def test_a_good_ending(ending: Ending) -> None:
    assert list(judge_ending(ending, SOME_CODES, ())) == []


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (replace(GOOD, code=2), "exit code 2 instead of [0, 1]"),
        (replace(GOOD, code=-11), "exit code -11"),
        (replace(GOOD, hung=True), "it hung"),
        (replace(GOOD, err="Traceback (most recent call last):\nKeyError: 1"), "traceback"),
        (replace(TERMINATED, code=0), "exit code 0 after SIGTERM"),
        (replace(TERMINATED, code=-15), "exit code -15 after SIGTERM"),
        (replace(TERMINATED, seconds_after_signal=5.1), "5.1 s to end"),
    ],
)
def test_a_bad_ending(ending: Ending, text: str) -> None:
    (finding,) = judge_ending(ending, SOME_CODES, ())
    assert finding.verdict == "wrong"
    assert text in finding.text


def test_a_process_that_lives_on_is_found() -> None:
    name = f"test-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, TOKEN: name}, start_new_session=True
    )
    try:
        survivors = wait_for_the_end(name, 0.2)
        (finding,) = judge_ending(GOOD, SOME_CODES, survivors)
        assert finding.verdict == "left over"
        assert "time.sleep(60)" in finding.text
    finally:
        assert process.wait(10) == -signal.SIGKILL
    assert wait_for_the_end(name, 0) == []


def test_a_night_that_hangs_is_ended_and_says_where(tmp_path: Path) -> None:
    with new_world(tmp_path / "world", seed=8) as world:
        world.sources.add(Random(9))  # noqa: S311
        world.server.faults.stall_reads.set()
        night = world.start_night("hanging")
        assert world.server.faults.reading.wait(60)
        night.give_up()
        ending = night.ending()
    assert ending.hung
    assert not ending.was_killed
    (finding,) = judge_ending(ending, SOME_CODES, ())
    assert re.search(r'File ".*", line \d+ in run_night', finding.text)
    assert wait_for_the_end(night.name, 0) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_can_be_told_by_ear(kind: str, tmp_path: Path) -> None:
    """Except those that a plain FFmpeg cannot read or mixes to nothing, which is what the product is for."""
    melody = Melody(seed=3, seconds=2.6)
    KINDS[kind](tmp_path / "source.wav", melody)
    assert (tmp_path / "source.wav").stat().st_size > 100_000
    if kind not in {"of a crashed recorder", "opposite phase"}:
        assert melody.difference(listen(tmp_path / "source.wav")) is None


def test_melodies_are_told_apart() -> None:
    def heard(melody: Melody) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
        sound = melody.sound(channels=1, sample_rate_hz=LISTENING_RATE_HZ, level_dbfs=-12)
        return np.frombuffer(sample_bytes(sound), np.int16)

    melody = Melody(seed=1, seconds=3.0)
    samples = heard(melody)
    assert melody.difference(samples) is None
    assert melody.difference(np.roll(samples, 400)) is None  # a codec's delay
    assert "wrong notes" in str(melody.difference(heard(Melody(seed=2, seconds=3.0))))
    assert "lasts" in str(melody.difference(samples[:-1000]))
    assert "wrong notes" in str(melody.difference(np.zeros_like(samples)))
    repeated = np.concatenate([samples[:16_000], samples[:16_000], samples[32_000:]])
    assert "wrong notes, the first at 1.00 s and the last at 1.50 s" in str(melody.difference(repeated))
    longer = Melody(seed=1, seconds=3.6)
    assert list(longer.notes_hz()[:12]) == list(melody.notes_hz())


def test_the_tally_counts_each_thing_once() -> None:
    tally = Tally(seed=7)
    lost = Finding("lost", "10-17-25", "it is gone")
    assert tally.add([lost]) == [lost]
    assert tally.add([replace(lost, text="it is still gone")]) == []
    assert "lost: 1; wrong: 0; left over: 0" in tally.lines()
    assert not tally.is_clean
    assert Tally(seed=7).is_clean
