"""What a source sounds like in stereo: which channel goes where and how loud, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.stereo import SAMPLE_RATE_HZ, Stereo, decode_to_stereo
from audio_compressor.errors import NotAudioError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.hostile_files import flac_of_silence, made, wav_claiming
from audio_compressor_tests.audio.measuring import level_at
from audio_compressor_tests.wav_files import Sound, speech, tone, tones, write_truncated_wav, write_wav

FREQUENCIES_HZ = (300.0, 500.0, 700.0, 1100.0, 1300.0, 1700.0, 1900.0, 2300.0, 2900.0)


class Decoder:
    def __init__(self, path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self.path, self._ffmpeg, self._children = path, ffmpeg, children

    def decode(self, source: Path) -> tuple[Stereo, Sound]:
        stereo = decode_to_stereo(
            source, self.path / "raw", ffmpeg=self._ffmpeg, children=self._children, timeout_seconds=60
        )
        samples = np.fromfile(stereo.path, "<f4").reshape(-1, 2).astype(float)
        assert stereo.frames == len(samples)
        return stereo, samples

    def refuse(self, content: bytes) -> str:
        source = self.path / "in.wav"
        source.write_bytes(content)
        with pytest.raises(NotAudioError) as caught:
            self.decode(source)
        return str(caught.value)


@pytest.fixture
def decoder(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Decoder:
    return Decoder(tmp_path, ffmpeg, children)


def heard_db(samples: Sound, channels: int) -> list[tuple[float, float]]:
    """Of each source channel (a tone of -12 dBFS), what came to the left and to the right, against what it was."""
    left, right = samples[:, :1], samples[:, 1:]
    return [
        (level_at(left, hz, SAMPLE_RATE_HZ) + 12.0, level_at(right, hz, SAMPLE_RATE_HZ) + 12.0)
        for hz in FREQUENCIES_HZ[:channels]
    ]


def expect(found: list[tuple[float, float]], expected: list[tuple[float | None, float | None]]) -> None:
    """None: not to be heard."""
    for pair, wanted in zip(found, expected, strict=True):
        for level_db, wanted_db in zip(pair, wanted, strict=True):
            assert level_db < -60 if wanted_db is None else level_db == pytest.approx(wanted_db, abs=0.05)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        pytest.param(1, [(0, 0)], id="mono"),
        pytest.param(2, [(0, None), (None, 0)], id="stereo"),
        # ITU-R BS.775: centre and surrounds 3 dB lower, the bass channel left out.
        pytest.param(6, [(0, None), (None, 0), (-3.01, -3.01), (None, None), (-3.01, None), (None, -3.01)], id="5.1"),
    ],
)
def test_channels_are_heard_where_they_belong(
    decoder: Decoder, channels: int, expected: list[tuple[float | None, float | None]]
) -> None:
    source = write_wav(decoder.path / "in.wav", tones(FREQUENCIES_HZ[:channels]), kind="f32")
    expect(heard_db(decoder.decode(source)[1], channels), expected)


def test_channels_without_loudspeakers_are_taken_in_turn(decoder: Decoder) -> None:
    """FFmpeg makes up loudspeakers for up to eight channels, and not for nine."""
    sound = tones(FREQUENCIES_HZ)
    source = write_wav(decoder.path / "in.wav", sound, kind="f32", extensible=True, channel_mask=0)
    stereo, samples = decoder.decode(source)
    assert stereo.source.stream.layout == "9 channels"
    expect(heard_db(samples, 9), [(-13.98, None), (None, -12.04)] * 4 + [(-13.98, None)])


def test_two_channels_of_any_loudspeakers_are_left_and_right(decoder: Decoder) -> None:
    sound = tones(FREQUENCIES_HZ[:2])
    source = write_wav(decoder.path / "in.wav", sound, kind="f32", extensible=True, channel_mask=0x30)
    expect(heard_db(decoder.decode(source)[1], 2), [(0, None), (None, 0)])


def test_nothing_is_clipped_on_the_way(decoder: Decoder) -> None:
    sound = tone(1.0, level_dbfs=12.0)
    _, samples = decoder.decode(write_wav(decoder.path / "in.wav", sound, kind="f32"))
    assert np.allclose(samples, sound, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 48_000, 192_000])
def test_other_rates_come_to_44100_hz(decoder: Decoder, rate_hz: int) -> None:
    source = write_wav(decoder.path / "in.wav", tone(1.0, sample_rate_hz=rate_hz), sample_rate_hz=rate_hz, kind="s24")
    stereo, samples = decoder.decode(source)
    assert stereo.duration_seconds == pytest.approx(1.0, abs=0.001)
    assert level_at(samples[2000:-2000, :1], 440.0, SAMPLE_RATE_HZ) == pytest.approx(-12.0, abs=0.05)


def test_what_was_wrong_with_a_file_is_said(decoder: Decoder) -> None:
    source = write_truncated_wav(decoder.path / "in.wav", speech(3.0), keep=0.5)
    stereo, _ = decoder.decode(source)
    assert stereo.repair is not None
    assert "1.5 s of sound were recovered" in stereo.repair


def test_a_damaged_mp3_is_read_as_far_as_it_goes(decoder: Decoder) -> None:
    data = bytearray(made(decoder.path / "a.mp3", seconds=5.0))
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    source = decoder.path / "in.mp3"
    source.write_bytes(data)
    stereo, _ = decoder.decode(source)
    assert stereo.repair is not None
    assert "error(s) while decoding" in stereo.repair
    assert stereo.duration_seconds > 4


def test_many_channels_are_refused(decoder: Decoder) -> None:
    assert "has 65 channels, and 64 can be mixed" in decoder.refuse(wav_claiming(channels=65) + bytes(65 * 2 * 4410))


def test_hours_in_a_small_file_are_refused(decoder: Decoder) -> None:
    """A megabyte of FLAC may claim 28 days of silence, and each second would take 353 kB here."""
    text = decoder.refuse(flac_of_silence(100))
    assert "claims more than 10 minutes of sound" in text
    assert (decoder.path / "raw").stat().st_size < 250_000_000


def test_no_samples_are_no_sound(decoder: Decoder) -> None:
    source = write_wav(decoder.path / "in.wav", np.zeros((0, 2)))
    assert "with a header but no sound" in decoder.refuse(source.read_bytes())
