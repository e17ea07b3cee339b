"""The same sound is proved to be the same, whatever Opus did to it; another sound of the same length is not."""

import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audio_compressor.audio.envelope import SAMPLE_RATE_HZ as ENVELOPE_RATE_HZ
from audio_compressor.audio.envelope import EnvelopeMeter, Floats
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.likeness import COARSE, FINE, compare
from audio_compressor.audio.proof import Proof, prove
from audio_compressor.errors import EncodingError, PermanentError, ProofError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.wav_files import Sound, sample_bytes, silence, write_wav
from audio_compressor_tests.webm_files import (
    FFMPEG,
    SAMPLE_RATE_HZ,
    encode,
    hiss,
    music,
    side_by_side,
    voice,
)

Prove = Callable[[Path, Path], Proof]
RATE = SAMPLE_RATE_HZ
SECONDS = 4
TALK = np.concatenate([voice("anna-1"), voice("ben-1")])[: SECONDS * RATE]
OTHER_TALK = np.concatenate([voice("jutta-1"), voice("karl-1")])[: SECONDS * RATE]
OTHER_TALK = OTHER_TALK * np.sqrt(np.mean(TALK**2) / np.mean(OTHER_TALK**2))
MUSIC = music(SECONDS)
NOISE = hiss(SECONDS)
STEREO = side_by_side(TALK, OTHER_TALK)
TIMES = np.arange(SECONDS * RATE)[:, None] / RATE


@pytest.fixture
def check(ffmpeg: Ffmpeg, children: ChildProcesses) -> Prove:
    return lambda source, copy: prove(source, copy, ffmpeg=ffmpeg, children=children, timeout_seconds=60)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is copied again and again."""
    directory = tmp_path_factory.mktemp("sources")
    sounds = {"talk": TALK, "music": MUSIC, "stereo": STEREO, "noise": NOISE}
    return {name: webm(directory / f"{name}.webm", sound) for name, sound in sounds.items()}


def webm(path: Path, sound: Sound) -> Path:
    return encode(path, sound, "-c:a", "libopus", "-b:a", "128k", "-f", "webm")


def opus(path: Path, sound: Sound, kbps: int) -> Path:
    return encode(path, sound, "-c:a", "libopus", "-b:a", f"{kbps}k", "-vbr", "constrained", "-f", "opus")


def reencoded(path: Path, source: Path, kbps: int) -> Path:
    encoder = ["-c:a", "libopus", "-b:a", f"{kbps}k", "-vbr", "constrained", "-f", "opus"]
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", "-i", source, "-map", "0:a:0", *encoder, path], check=True)
    return path


def clicks() -> Sound:
    sound = hiss(SECONDS, level_dbfs=-70.0)
    sound[:: RATE // 2] = 0.9
    return sound


HONEST = {
    "talk": TALK,
    "talk in stereo": side_by_side(TALK, 0.7 * TALK),
    "very faint talk": TALK * 10 ** (-60 / 20),
    "talk after loud music": np.concatenate([MUSIC[: 2 * RATE], 10 ** (-45 / 20) * TALK[: 2 * RATE]]),
    "music": MUSIC,
    "noise": hiss(SECONDS),
    "silence": silence(SECONDS, channels=1, sample_rate_hz=RATE),
    "a tone": 0.25 * np.sin(2 * np.pi * 440 * TIMES),
    "two tones": 0.1 * (np.sin(2 * np.pi * 199 * TIMES) + np.sin(2 * np.pi * 3000 * TIMES)),
    "clicks": clicks(),
    "clipped": np.clip(8 * TALK, -1, 1),
}


@pytest.mark.parametrize(("name", "kbps"), [*((name, 24) for name in HONEST), ("talk", 64), ("music", 96)])
def test_what_opus_made_of_it_is_proved(name: str, kbps: int, check: Prove, tmp_path: Path) -> None:
    sound = HONEST[name]
    source = webm(tmp_path / "a.webm", sound)
    proof = check(source, reencoded(tmp_path / "a.opus", source, kbps))
    assert proof.duration_seconds == pytest.approx(SECONDS, abs=0.001)
    assert proof.source_samples == proof.copy_samples == SECONDS * RATE
    assert proof.share_within_tolerance > 0.97
    assert (proof.codec, proof.channels, proof.delay_seconds) == ("opus", sound.shape[1], 0.0)


def changed(sound: Sound, start_seconds: float, seconds: float, factor: float) -> Sound:
    copy = sound.copy()
    copy[round(start_seconds * RATE) : round((start_seconds + seconds) * RATE)] *= factor
    return copy


def late(sound: Sound, from_seconds: float, seconds: float) -> Sound:
    """What follows comes later; the end is lost."""
    at, by = round(from_seconds * RATE), round(seconds * RATE)
    return np.concatenate([sound[:at], sound[at - by : len(sound) - by]])


def missing_and_repeated(sound: Sound, seconds: float) -> Sound:
    first, second, by = len(sound) // 4, 3 * len(sound) // 4, round(seconds * RATE)
    return np.concatenate([sound[:first], sound[first + by : second], sound[second - by :]])


def low_passed(sound: Sound, highest_hz: float) -> Sound:
    spectrum = np.fft.rfft(sound, axis=0)
    spectrum[math.ceil(highest_hz * len(sound) / RATE) :] = 0
    return np.fft.irfft(spectrum, len(sound), axis=0)


WRONG: dict[str, Callable[[Sound], Sound]] = {
    "a second of silence": lambda sound: changed(sound, 1.0, 1.0, 0.0),
    "0.3 s late from the middle on": lambda sound: late(sound, 2.0, 0.3),
    "0.5 s missing and repeated": lambda sound: missing_and_repeated(sound, 0.5),
    "0.5 s repeated and missing": lambda sound: missing_and_repeated(sound[::-1], 0.5)[::-1],
    "clipped, and softer": lambda sound: 0.5 * np.clip(4 * sound, -0.5, 0.5),
    "3 dB softer": lambda sound: sound * 10 ** (-3 / 20),
    "nothing above 1 kHz": lambda sound: low_passed(sound, 1000.0),
    "backwards": lambda sound: sound[::-1],
    "silence": lambda sound: 0 * sound,
    "1 dB softer": lambda sound: sound * 10 ** (-1 / 20),
    "noise as loud": lambda sound: hiss(SECONDS, level_dbfs=float(10 * np.log10(np.mean(sound**2)))),
}


FOUND_AT_24_KBPS = ["a second of silence", "0.3 s late from the middle on", "nothing above 1 kHz", "silence"]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_another_sound_of_the_same_length_is_not_proved(
    wrong: Callable[[Sound], Sound], check: Prove, sources: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ProofError, match=r"a\.opus does not sound like talk\.webm: channel 1 differs by .* dB"):
        check(sources["talk"], opus(tmp_path / "a.opus", wrong(TALK), 96))


@pytest.mark.parametrize("wrong", [WRONG[name] for name in FOUND_AT_24_KBPS], ids=FOUND_AT_24_KBPS)
def test_another_sound_is_not_proved_at_a_low_bitrate_either(
    wrong: Callable[[Sound], Sound], check: Prove, sources: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ProofError, match=r"a\.opus does not sound like music\.webm: channel 1 differs by .* dB"):
        check(sources["music"], opus(tmp_path / "a.opus", wrong(MUSIC), 24))


def test_another_talk_as_loud_is_not_proved(check: Prove, sources: dict[str, Path], tmp_path: Path) -> None:
    for kbps in (96, 24):
        with pytest.raises(ProofError, match=r"\(\d\d\.\d% of all moments agree\); the source is kept"):
            check(sources["talk"], opus(tmp_path / "a.opus", OTHER_TALK, kbps))


def test_the_message_says_where_it_differs(check: Prove, sources: dict[str, Path], tmp_path: Path) -> None:
    copy = opus(tmp_path / "a.opus", changed(MUSIC, 2.0, 1.0, 0.0), 96)
    with pytest.raises(
        ProofError, match=r"by \d\d\.\d dB in the 0\.3 s from 0:02\.[0-9] on, where 3\.0 dB are allowed"
    ):
        check(sources["music"], copy)


@pytest.mark.parametrize(
    "wrong",
    [
        STEREO[:, ::-1],
        STEREO[:, [0, 0]],
        STEREO * [1.0, 0.0],
        np.repeat(STEREO.mean(axis=1, keepdims=True), 2, axis=1),
        np.hstack([STEREO[:, :1], changed(STEREO[:, 1:], 2.0, 1.0, 0.0)]),
    ],
    ids=["swapped", "one twice", "one lost", "mixed", "silence in one"],
)
def test_each_channel_is_compared(wrong: Sound, check: Prove, sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="does not sound like"):
        check(sources["stereo"], opus(tmp_path / "a.opus", wrong, 96))


def test_talk_of_two_channels_is_proved_unless_opus_mixed_it(
    check: Prove, sources: dict[str, Path], tmp_path: Path
) -> None:
    """At 24 kbit/s it keeps little of what is on one side alone; the talk is still there, the sides are not."""
    check(sources["stereo"], opus(tmp_path / "a.opus", STEREO, 96))
    with pytest.raises(ProofError, match="does not sound like"):
        check(sources["stereo"], opus(tmp_path / "a.opus", STEREO, 24))


@pytest.mark.parametrize("by_seconds", [0.020, -0.020])
def test_a_decoders_delay_is_allowed(by_seconds: float, check: Prove, sources: dict[str, Path], tmp_path: Path) -> None:
    copy = opus(tmp_path / "a.opus", np.roll(TALK, round(by_seconds * RATE), axis=0), 64)
    assert check(sources["talk"], copy).delay_seconds == pytest.approx(by_seconds, abs=0.0005)


def test_more_than_a_decoders_delay_is_not(check: Prove, sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="does not sound like"):
        check(sources["talk"], opus(tmp_path / "a.opus", np.roll(TALK, RATE // 20, axis=0), 64))


@pytest.mark.parametrize(("by_seconds", "word"), [(-0.06, "short"), (0.06, "long"), (-2.0, "short")])
def test_another_length_is_not_proved(
    by_seconds: float, word: str, check: Prove, sources: dict[str, Path], tmp_path: Path
) -> None:
    longer = np.concatenate([NOISE, NOISE])[: round((SECONDS + by_seconds) * RATE)]
    with pytest.raises(
        ProofError, match=rf"a\.opus lasts .* s, noise\.webm 4\.000 s: {abs(by_seconds):.3f} s too {word}"
    ):
        check(sources["noise"], opus(tmp_path / "a.opus", longer, 64))


def test_a_few_milliseconds_are_no_other_length(check: Prove, sources: dict[str, Path], tmp_path: Path) -> None:
    proof = check(sources["talk"], opus(tmp_path / "a.opus", TALK[: -round(0.02 * RATE)], 64))
    assert proof.source_duration_seconds - proof.duration_seconds == pytest.approx(0.02, abs=0.001)


def test_another_number_of_channels_is_not_proved(check: Prove, sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ProofError, match=r"a\.opus has 1 channel\(s\), stereo\.webm 2; the source is kept"):
        check(sources["stereo"], opus(tmp_path / "a.opus", TALK, 64))


def test_half_a_copy_and_none_are_not_proved(check: Prove, tmp_path: Path) -> None:
    source, copy = webm(tmp_path / "a.webm", TALK), opus(tmp_path / "a.opus", TALK, 64)
    data = copy.read_bytes()
    for content in (b"", b"OggS", bytes(1000), data[: len(data) // 2]):
        copy.write_bytes(content)
        with pytest.raises(ProofError, match=r"a\.opus .*; the source is kept"):
            check(source, copy)


def test_a_copy_or_source_with_errors_is_not_proved(check: Prove, tmp_path: Path) -> None:
    source, copy = webm(tmp_path / "a.webm", TALK), opus(tmp_path / "a.opus", TALK, 64)
    good = copy.read_bytes()
    copy.write_bytes(good[:10_000] + bytes(300) + good[10_300:])
    with pytest.raises(ProofError, match=r"a\.opus does not decode to its end without an error, the first: .*CRC"):
        check(source, copy)
    copy.write_bytes(good)
    check(source, copy)
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(ProofError, match=r"a\.webm does not decode to its end without an error"):
        check(source, copy)


def test_samples_that_are_no_numbers_prove_nothing(check: Prove, tmp_path: Path) -> None:
    sound = TALK.copy()
    sound[RATE] = np.nan
    source = write_wav(tmp_path / "a.wav", sound, sample_rate_hz=RATE, kind="f32")
    with pytest.raises(ProofError, match=r"a\.wav holds samples that are no numbers"):
        check(source, source)


def test_a_time_limit_is_not_a_verdict(ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path) -> None:
    source = webm(tmp_path / "a.webm", TALK)
    with pytest.raises(EncodingError, match="time limit") as caught:
        prove(source, source, ffmpeg=ffmpeg, children=children, timeout_seconds=0.0)
    assert not isinstance(caught.value, ProofError)
    assert issubclass(ProofError, PermanentError)


# -- envelopes


def envelope(sound: Sound, piece_bytes: int = 65536) -> Floats:
    meter = EnvelopeMeter(sound.shape[1])
    data = sample_bytes(sound, "f32")
    for start in range(0, len(data), piece_bytes):
        meter.add(data[start : start + piece_bytes])
    return meter.envelope()


def test_an_envelope_does_not_depend_on_how_samples_arrive() -> None:
    sound = np.random.default_rng(1).standard_normal((50 * ENVELOPE_RATE_HZ + 77, 2))
    expected = envelope(sound, 10**9)
    assert expected.shape == (502, 2, 6)
    for piece_bytes in (1001, 65536, 1 << 20):
        np.testing.assert_allclose(envelope(sound, piece_bytes), expected, rtol=1e-5)


def test_an_envelope_tells_level_band_and_channel() -> None:
    times = np.arange(4 * ENVELOPE_RATE_HZ) / ENVELOPE_RATE_HZ
    sound = np.stack([0.5 * np.sin(2 * np.pi * 300 * times), np.sin(2 * np.pi * 5000 * times)], axis=1)
    level_db = 10 * np.log10(2 * envelope(sound)[20] + 1e-12)
    assert level_db[0, 1] == pytest.approx(-6.02, abs=0.05)
    assert level_db[1, 5] == pytest.approx(0.0, abs=0.05)
    assert np.sort(level_db.ravel())[-3] < -60


def test_one_window_may_deviate_and_three_in_a_row_may_not() -> None:
    one: Floats = np.full((200, 1, 6), 0.01, np.float32)
    for windows, tolerances, alike in ((1, FINE, True), (3, FINE, False), (1, COARSE, True), (3, COARSE, False)):
        other = one.copy()
        other[100 : 100 + windows] *= np.float32(10 ** (-6 / 10))
        likeness = compare(one, other, tolerances)
        assert (likeness.difference is None) == alike
        assert likeness.worst_window_db == pytest.approx(6.0, abs=0.1)
        assert likeness.share_within == pytest.approx(1 - windows / 200)


def test_the_end_of_a_long_recording_is_compared_like_its_start() -> None:
    """Ten hours."""
    one: Floats = np.random.default_rng(1).uniform(0.01, 0.1, (360_000, 1, 6)).astype(np.float32)
    other = one.copy()
    assert compare(one, other, FINE).difference is None
    other[-6:-2] *= np.float32(0.1)
    assert "599:59." in (compare(one, other, FINE).difference or "")
