"""Renditions of real files, judged by their decoded samples and by meters that are not the product's."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.audio.ladder import LADDER, AacCoder
from audio_compressor.audio.normalization import LoudnessTarget, Mode, PeakPolicy
from audio_compressor.audio.progress import Report, no_progress
from audio_compressor.audio.renditions import Renditions, judge_loudness, make_renditions
from audio_compressor.demo.recordings import CLIPS
from audio_compressor.errors import CancelledError, EncodingError, NotAudioError, VerificationError
from audio_compressor.hls.aac import AacStream
from audio_compressor.hls.mp4 import read_m4a
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.independent_meters import integrated_lufs, true_peak_dbtp
from audio_compressor_tests.audio.loud_sounds import RATE_HZ, music
from audio_compressor_tests.audio.measuring import answering_script, decode
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.wav_files import SampleKind, Sound, silence, tone, write_wav

TARGET = LoudnessTarget()
NAMES = ["high.m4a", "low.m4a", "med.m4a"]


class Workshop:
    """Makes renditions in a directory of its own."""

    def __init__(self, path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self.path, self.ffmpeg, self.children = path, ffmpeg, children
        self.out = path / "out"
        self.out.mkdir()

    def make(
        self,
        source: Path,
        policy: PeakPolicy = "limit",
        *,
        coder: AacCoder = "fast",
        target: LoudnessTarget = TARGET,
        ffmpeg: Ffmpeg | None = None,
        progress: Report = no_progress,
    ) -> Renditions:
        return make_renditions(
            source,
            self.out,
            name="track",
            target=target,
            peak_policy=policy,
            coder=coder,
            ffmpeg=ffmpeg or self.ffmpeg,
            children=self.children,
            progress=progress,
        )

    def sound(self, sound: Sound, policy: PeakPolicy = "limit", kind: SampleKind = "f32") -> Renditions:
        return self.make(write_wav(self.path / "in.wav", sound, kind=kind), policy)


@pytest.fixture
def workshop(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Workshop:
    return Workshop(tmp_path, ffmpeg, children)


def peaky(seconds: float = 8.0) -> Sound:
    """14 LUFS below full scale is out of its reach without a limiter."""
    return music(seconds, level=0.9)


def dense(seconds: float = 8.0) -> Sound:
    """Music as loud as it is sold: its peaks cut off."""
    return np.clip(music(seconds, level=4.0), -1.0, 1.0)


def long() -> Sound:
    """Takes ten seconds and more to encode."""
    return np.tile(peaky(4.0), (20, 1))


def judge_by_ear(made: Renditions) -> None:
    """Every rendition, by meters that are not ours. The end of a few seconds of sound counts differently: 0.05 LU."""
    assert made.plan.goal_lufs is not None
    for name, rendition in made.renditions.items():
        sound = decode(rendition.path, channels=2)
        assert integrated_lufs(sound) == pytest.approx(made.plan.goal_lufs, abs=made.plan.tolerance_lu + 0.05), name
        assert true_peak_dbtp(sound) <= TARGET.true_peak_dbtp + 0.01, name
        assert rendition.after.true_peak_dbtp == pytest.approx(true_peak_dbtp(sound, 16), abs=0.02)
        assert rendition.after.integrated_lufs == pytest.approx(integrated_lufs(sound), abs=0.05)
    assert judge_loudness(made, TARGET) == ()


@pytest.mark.parametrize(
    ("sound", "policy", "coder", "mode"),
    [
        pytest.param(dense(), "limit", "fast", "gain", id="gain"),
        pytest.param(dense(), "lower", "fast", "gain", id="gain, with nothing to lower"),
        pytest.param(peaky(), "limit", "fast", "limit", id="limit"),
        pytest.param(peaky(), "limit", "twoloop", "limit", id="limit, with the other coder"),
        pytest.param(peaky(), "lower", "fast", "lower", id="lower"),
        pytest.param(peaky(), "dynamic", "fast", "dynamic", id="dynamic"),
    ],
)
def test_every_rendition_is_as_loud_as_planned_and_below_the_limit(
    workshop: Workshop, sound: Sound, policy: PeakPolicy, coder: AacCoder, mode: Mode
) -> None:
    made = workshop.make(write_wav(workshop.path / "in.wav", sound, kind="f32"), policy, coder=coder)
    assert made.plan.mode == mode
    if mode != "lower":
        assert made.plan.goal_lufs == pytest.approx(-14.0, abs=0.001)
    judge_by_ear(made)


def test_speech_reaches_the_target_with_little_limiting(workshop: Workshop) -> None:
    """Its gain comes back between the periods of the voice; with a slow release it ran away to 12 dB."""
    made = workshop.make(CLIPS / "ben-1.opus")
    assert (made.plan.mode, made.plan.goal_lufs) == ("limit", -14.0)
    assert "3.6 dB louder, and peaks limited" in made.plan.reason
    assert 2.8 < made.limited_db < 7.0
    judge_by_ear(made)


def test_overshoots_are_taken_back_where_they_happened(workshop: Workshop) -> None:
    """What is clipped hard comes back from 48 kbit/s with peaks of its own."""
    made = workshop.sound(np.clip(music(8.0, level=4.0), -1.0, 1.0))
    assert made.plan.mode == "gain"
    corrections = [each for rendition in made.renditions.values() for each in rendition.corrections]
    assert any("packets encoded again, for peaks" in each for each in corrections)
    assert made.limited_db > 0
    judge_by_ear(made)


@pytest.mark.parametrize("policy", ["limit", "dynamic"])
def test_nothing_is_moved_by_a_sample(workshop: Workshop, policy: PeakPolicy) -> None:
    sound = peaky()
    made = workshop.sound(sound, policy)
    for rendition in made.renditions.values():
        heard = decode(rendition.path, channels=2)
        assert len(heard) == len(sound)
        spectrum = np.fft.rfft(sound[:, 0]) * np.conj(np.fft.rfft(heard[:, 0]))
        assert int(np.argmax(np.fft.irfft(spectrum))) == 0


def test_the_files_are_a_ladder(workshop: Workshop) -> None:
    made = workshop.sound(peaky())
    assert names_in(workshop.out) == NAMES
    read = {name: read_m4a(each.path) for name, each in made.renditions.items()}
    assert len(set(read.values())) == 1
    assert {each.stream for each in read.values()} == {AacStream(2, 44_100, 2)}
    assert {each.packets for each in made.renditions.values()} == {read["high"].frames}
    for profile in LADDER:
        path = made.renditions[profile.name].path
        assert path == workshop.out / f"{profile.name}.m4a"
        kbps = path.stat().st_size * 8 / made.duration_seconds / 1000
        assert kbps == pytest.approx(profile.bitrate_kbps, rel=0.15)
        data = path.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_the_same_source_gives_the_same_bytes(workshop: Workshop) -> None:
    first = {name: each.path.read_bytes() for name, each in workshop.sound(peaky(4.0)).renditions.items()}
    again = {name: each.path.read_bytes() for name, each in workshop.sound(peaky(4.0)).renditions.items()}
    assert first == again


@pytest.mark.long
def test_dynamic_narrows_the_range(workshop: Workshop) -> None:
    sound = np.concatenate([share * peaky() for share in (1.0, 0.08, 1.0)])
    wide = workshop.sound(sound, "limit")
    even = workshop.sound(sound, "dynamic")
    assert wide.before.range_lu == even.before.range_lu is not None
    assert "wider than 11.0" in " ".join(wide.warnings)
    assert even.plan.mode == "dynamic"
    for name in wide.renditions:
        wide_lu, even_lu = wide.renditions[name].after.range_lu, even.renditions[name].after.range_lu
        assert wide_lu is not None
        assert even_lu is not None
        assert even_lu < wide_lu - 1
    judge_by_ear(even)


def test_silence_stays_silence(workshop: Workshop) -> None:
    made = workshop.sound(silence(3.0))
    assert made.plan.mode == "unchanged"
    assert made.plan.reason.startswith("silence")
    assert judge_loudness(made, TARGET) == ()
    assert all(rendition.after.integrated_lufs is None for rendition in made.renditions.values())


@pytest.mark.parametrize("seconds", [0.010, 0.1, 0.39])
def test_what_is_too_short_for_a_loudness_only_keeps_to_the_limit(workshop: Workshop, seconds: float) -> None:
    made = workshop.sound(tone(seconds, level_dbfs=0.0))
    assert made.plan.mode == "lower"
    assert "too short to have a loudness" in made.plan.reason
    for rendition in made.renditions.values():
        assert true_peak_dbtp(decode(rendition.path, channels=2)) <= TARGET.true_peak_dbtp + 0.01
    assert judge_loudness(made, TARGET) == ()


@pytest.mark.parametrize(
    ("sound", "kind", "rate_hz"),
    [
        pytest.param(peaky(3.0)[:, :1], "s16", 44_100, id="mono"),
        pytest.param(peaky(3.0), "s24", 48_000, id="48 kHz"),
        pytest.param(peaky(6.0), "u8", 96_000, id="96 kHz"),
        pytest.param(np.hstack([peaky(3.0)] * 3), "s24", 48_000, id="5.1"),
        pytest.param(np.hstack([peaky(3.0), peaky(3.0)[:, :1]])[:40_000], "f64", 8_000, id="2.1"),
        pytest.param(peaky(3.0) * 8, "f32", 44_100, id="over full scale"),
    ],
)
def test_any_source_becomes_stereo_at_44100_hz(
    workshop: Workshop, sound: Sound, kind: SampleKind, rate_hz: int
) -> None:
    source = write_wav(workshop.path / "in.wav", sound, kind=kind, sample_rate_hz=rate_hz)
    made = workshop.make(source)
    assert made.duration_seconds == pytest.approx(len(sound) / rate_hz, abs=0.001)
    judge_by_ear(made)


def test_what_is_too_quiet_gets_no_more_than_30_db(workshop: Workshop) -> None:
    made = workshop.sound(tone(3.0, level_dbfs=-60.0, frequency_hz=1000))
    assert made.plan.gain_db == 30.0
    assert made.plan.goal_lufs == pytest.approx(-30.0, abs=0.1)
    assert "so quiet" in " ".join(made.warnings)
    judge_by_ear(made)


def test_what_a_limiter_cannot_reach_is_said(workshop: Workshop) -> None:
    """Single clicks, 30 dB over their loudness."""
    sound = tone(6.0, level_dbfs=-50.0, frequency_hz=500)
    burst = np.sin(2 * np.pi * 2000 * np.arange(100) / RATE_HZ) * np.hanning(100)
    for start in range(RATE_HZ // 2, len(sound) - 100, RATE_HZ):
        sound[start : start + 100] += burst[:, None]
    made = workshop.sound(sound)
    assert made.plan.mode == "limit"
    assert made.plan.goal_lufs is not None
    assert made.plan.goal_lufs < -20
    assert "below the target" in " ".join(made.warnings)
    assert all(each.after.true_peak_dbtp <= TARGET.true_peak_dbtp for each in made.renditions.values())


def test_findings_name_the_rendition_the_figure_and_the_limit(workshop: Workshop) -> None:
    made = workshop.sound(dense(3.0))
    stricter = LoudnessTarget(true_peak_dbtp=-20.0)
    findings = judge_loudness(made, stricter)
    assert len(findings) == 3
    assert f"high: a true peak of {made.renditions['high'].after.true_peak_dbtp:.2f} dBTP" in findings[0]
    assert "-20.00" in findings[0]


def test_progress_rises_to_one(workshop: Workshop) -> None:
    told: list[float] = []
    workshop.make(write_wav(workshop.path / "in.wav", peaky()), progress=told.append)
    assert told == sorted(set(told))
    assert told[-1] == pytest.approx(1.0)
    assert len(told) >= 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", r"in\.wav is empty", id="empty"),
        pytest.param(b"no sound at all " * 100, r"in\.wav .* holds no sound that FFmpeg can read", id="text"),
        pytest.param(b"#EXTM3U\n/etc/passwd\n", r"in\.wav .* holds no sound", id="playlist"),
    ],
)
def test_what_is_no_sound_is_refused_and_leaves_nothing(workshop: Workshop, content: bytes, message: str) -> None:
    source = workshop.path / "in.wav"
    source.write_bytes(content)
    with pytest.raises(NotAudioError, match=message):
        workshop.make(source)
    assert names_in(workshop.out) == []


def test_a_source_that_is_not_there_is_no_sound(workshop: Workshop) -> None:
    with pytest.raises(NotAudioError, match=r"in\.wav cannot be read"):
        workshop.make(workshop.path / "in.wav")


def test_a_few_samples_are_no_track(workshop: Workshop) -> None:
    with pytest.raises(NotAudioError, match=r"in\.wav lasts only 9\.0 ms"):
        workshop.sound(tone(0.009))
    assert names_in(workshop.out) == []


# Half of the sound is encoded, and FFmpeg ends as if all were well.
STOPS_EARLY = """
case "$*" in *med.m4a) ;; *) exec "$REAL" "$@";; esac
n=$#; while [ $n -gt 1 ]; do set -- "$@" "$1"; shift; n=$((n - 1)); done
output=$1; shift; exec "$REAL" "$@" -t 2 "$output"
"""
FAILS = 'case "$*" in *med.m4a) exit 7;; *) exec "$REAL" "$@";; esac'


@pytest.mark.parametrize(
    ("then", "error", "message"),
    [
        pytest.param(FAILS, EncodingError, "exit code 7", id="fails"),
        pytest.param(STOPS_EARLY, VerificationError, r"med\.m4a lasts 2\.\d+ s, its source 4\.000 s", id="stops early"),
    ],
)
def test_when_one_encode_goes_wrong_no_file_is_left(
    workshop: Workshop, then: str, error: type[Exception], message: str
) -> None:
    ffmpeg = find_ffmpeg(str(answering_script(workshop.path / "ffmpeg", then)))
    with pytest.raises(error, match=message):
        workshop.make(write_wav(workshop.path / "in.wav", peaky(4.0)), ffmpeg=ffmpeg)
    assert names_in(workshop.out) == []


def test_kill_all_ends_the_encodes_and_leaves_nothing(workshop: Workshop) -> None:
    encoding = threading.Event()

    def on_progress(fraction: float) -> None:
        if fraction > 0.2:
            encoding.set()

    source = write_wav(workshop.path / "in.wav", long())
    failed: list[BaseException] = []

    def work() -> None:
        try:
            workshop.make(source, coder="twoloop", progress=on_progress)
        except CancelledError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert encoding.wait(60)
    assert ffmpegs_in(workshop.out)
    workshop.children.kill_all()
    thread.join(10)
    assert not thread.is_alive()
    assert len(failed) == 1
    assert names_in(workshop.out) == []
    assert not ffmpegs_in(workshop.out)


class Interrupted(BaseException):
    pass


def test_a_signal_ends_the_encodes_and_leaves_nothing(workshop: Workshop) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise Interrupted

    def on_progress(fraction: float) -> None:
        if fraction > 0.2 and not sent:
            sent.append(fraction)
            os.kill(os.getpid(), signal.SIGUSR1)

    sent: list[float] = []
    source = write_wav(workshop.path / "in.wav", long())
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            workshop.make(source, coder="twoloop", progress=on_progress)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert sent
    assert sent[0] < 0.9
    assert names_in(workshop.out) == []
    assert not ffmpegs_in(workshop.out)


def ffmpegs_in(directory: Path) -> list[int]:
    """Processes that have a file below ``directory`` among their arguments."""
    mark = os.fsencode(f"file:{directory}/")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            found += [int(process.name)] if any(argument.startswith(mark) for argument in arguments) else []
    return found
