"""Compressions of real files, judged by their decoded samples: length, level, content, rate, size."""

import json
import struct
import subprocess
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from audio_compressor.audio.compress import Compression, TimeLimit, compress
from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, find_ffmpeg
from audio_compressor.audio.levels import NO_HUM
from audio_compressor.audio.profiles import AudioFormat, Profile
from audio_compressor.errors import CancelledError, EncodingError, FfmpegMissingError, NotAudioError, VerificationError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.measuring import answering_script, decode, level_at, peak_dbfs, rms_dbfs
from audio_compressor_tests.test_processes import processes_with, wait_for
from audio_compressor_tests.wav_files import (
    SAMPLE_KINDS,
    Container,
    SampleKind,
    Sound,
    chunk,
    hum,
    opposite_phase,
    silence,
    speech,
    tone,
    tones,
    with_dead_channel,
    write_wav,
)

FORMATS: tuple[AudioFormat, ...] = ("wav", "opus", "mp3", "m4a", "flac")
DEFAULT = Profile("wav", 16000, 1, 32)


class Workshop:
    """Compresses sounds in a directory of its own."""

    def __init__(self, path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self.path, self.ffmpeg, self.children = path, ffmpeg, children

    def compress(self, source: Path, profile: Profile = DEFAULT, name: str = "out") -> Compression:
        destination = self.path / f"{name}.{profile.extension}"
        return compress(source, destination, profile, ffmpeg=self.ffmpeg, children=self.children)

    def sound(self, sound: Sound, profile: Profile = DEFAULT, kind: SampleKind = "s16") -> Compression:
        return self.compress(write_wav(self.path / "StereoMix.wav", sound, kind=kind), profile)

    def left_over(self) -> list[str]:
        return [path.name for path in self.path.iterdir() if path.name.startswith("out")]


@pytest.fixture
def workshop(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Workshop:
    return Workshop(tmp_path, ffmpeg, children)


def test_the_default_gives_the_samples_of_the_documented_command(workshop: Workshop) -> None:
    source = write_wav(workshop.path / "in.wav", speech(3))
    theirs = workshop.path / "theirs.wav"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(source)]
    subprocess.run([*command, "-ar", "16000", "-ac", "1", "-b:a", "32k", str(theirs)], check=True)
    ours = workshop.compress(source)
    assert np.array_equal(decode(ours.path, channels=1), decode(theirs, channels=1))
    assert ours.bitrate_kbps == pytest.approx(256, rel=0.01)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_same_source_gives_the_same_bytes(workshop: Workshop, audio_format: AudioFormat) -> None:
    source = write_wav(workshop.path / "in.wav", speech(1.5))
    profile = Profile(audio_format, 16000, 1, 32)
    first = workshop.compress(source, profile)
    content = first.path.read_bytes()
    second = workshop.compress(source, profile, name="out-again")
    assert second.path.read_bytes() == content
    assert first.sha256 == second.sha256
    assert b"Lavf6" not in content
    assert b"Lavc6" not in content


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize(("sample_rate_hz", "channels"), [(16000, 1), (48000, 2), (8000, 1)])
def test_output_is_what_the_profile_asks_for(
    workshop: Workshop, audio_format: AudioFormat, sample_rate_hz: int, channels: int
) -> None:
    profile = Profile(audio_format, sample_rate_hz, channels, 32)
    sound = speech(10.0)
    compression = workshop.sound(sound, profile)
    decoded = decode(compression.path, channels=channels)
    rate = 48000 if audio_format == "opus" else sample_rate_hz
    assert len(decoded) / rate == pytest.approx(10.0, abs=0.05)
    assert compression.duration_seconds == pytest.approx(len(decoded) / rate, abs=1e-6)
    assert rms_dbfs(decoded) == pytest.approx(-26.0, abs=2.0 if sample_rate_hz > 8000 else 3.0)
    assert compression.levels.rms_dbfs == pytest.approx(rms_dbfs(decoded), abs=0.15)
    assert compression.levels.peak_dbfs == pytest.approx(peak_dbfs(decoded), abs=0.15)
    assert (compression.sample_rate_hz, compression.channels) == (sample_rate_hz, channels)
    assert compression.size_bytes == compression.path.stat().st_size
    if profile.honours_bitrate:
        assert compression.bitrate_kbps == pytest.approx(32, rel=0.25)


@pytest.mark.parametrize("kind", SAMPLE_KINDS)
@pytest.mark.parametrize("channels", range(1, 9))
def test_every_depth_and_channel_count_keeps_every_channel(workshop: Workshop, kind: SampleKind, channels: int) -> None:
    frequencies = [300.0 + 170 * index for index in range(channels)]
    compression = workshop.sound(tones(frequencies, 0.5), kind=kind)
    mono = decode(compression.path, channels=1)
    assert len(mono) == 8000
    for frequency in frequencies:
        expected = -12 - 20 * np.log10(channels)
        assert level_at(mono, frequency, 16000) == pytest.approx(expected, abs=0.4)
    assert compression.source.channels == channels
    assert len(compression.source.levels) == channels
    assert all(level.rms_dbfs == pytest.approx(-15.0, abs=0.15) for level in compression.source.levels)
    assert all(level.samples == 22050 for level in compression.source.levels)


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize(("rate", "channels", "wanted"), [(16000, 1, 16000), (44100, 1, 48000), (44100, 2, 96000)])
def test_long_sources_of_every_rate_to_every_format(
    workshop: Workshop, audio_format: AudioFormat, rate: int, channels: int, wanted: int
) -> None:
    """Longer than a packet of FFmpeg's WAV reader: by its length FFmpeg chose FLAC's blocks, too long ones."""
    source = write_wav(workshop.path / "in.wav", tone(7.0, channels=channels)[: 7 * rate], sample_rate_hz=rate)
    wanted = min(wanted, 48000) if audio_format in {"opus", "mp3"} else wanted
    made = workshop.compress(source, Profile(audio_format, wanted, 1, 64))
    assert made.duration_seconds == pytest.approx(made.source.duration_seconds, abs=0.07)
    assert made.levels.rms_dbfs == pytest.approx(-15.0, abs=0.6)
    if audio_format == "flac":  # STREAMINFO: the shortest and the longest block (RFC 9639, section 8.2)
        assert struct.unpack(">HH", made.path.read_bytes()[8:12]) == (4608, 4608)


def test_more_channels_than_can_be_mixed(workshop: Workshop) -> None:
    with pytest.raises(NotAudioError, match="65 channels, and 64 can be mixed"):
        workshop.sound(tone(0.1, channels=65))
    assert workshop.left_over() == []


@pytest.mark.parametrize("mask", [0x0, 0x9, 0xA, 0x600])
@pytest.mark.parametrize("channels", [1, 2])
def test_speaker_positions_do_not_silence_a_microphone(workshop: Workshop, mask: int, channels: int) -> None:
    """FFmpeg would drop a second channel that the header calls a bass (mask 0x9 or 0xA)."""
    source = write_wav(workshop.path / "in.wav", tones([300, 700], 0.5), extensible=True, channel_mask=mask)
    decoded = decode(workshop.compress(source, replace(DEFAULT, channels=channels)).path, channels=channels)
    for index, frequency in enumerate((300, 700)):
        side = decoded[:, [index if channels == 2 else 0]]
        assert level_at(side, frequency, 16000) == pytest.approx(-12 if channels == 2 else -18, abs=0.2)


def test_eight_channels_to_stereo(workshop: Workshop) -> None:
    frequencies = [300.0 + 200 * index for index in range(8)]
    decoded = decode(workshop.sound(tones(frequencies, 0.5), replace(DEFAULT, channels=2)).path, channels=2)
    for index, frequency in enumerate(frequencies):
        here, there = (level_at(decoded[:, [side]], frequency, 16000) for side in (index % 2, 1 - index % 2))
        assert here == pytest.approx(-24.0, abs=0.3)
        assert there < -70


def test_mono_to_stereo_keeps_its_level(workshop: Workshop) -> None:
    compression = workshop.sound(tone(0.5, channels=1), replace(DEFAULT, channels=2))
    assert compression.levels.rms_dbfs == pytest.approx(-15.0, abs=0.15)
    assert compression.mixdown == "the one channel of the source on both sides"


@pytest.mark.parametrize("audio_format", ["wav", "opus"])
@pytest.mark.parametrize("kind", ["s24", "f32"])
def test_a_mix_in_float_is_no_louder(workshop: Workshop, audio_format: AudioFormat, kind: SampleKind) -> None:
    """Left to itself, FFmpeg adds 3 dB where both source and encoder work in float."""
    compression = workshop.sound(tone(1, level_dbfs=-1), Profile(audio_format, 16000, 1, 64), kind)
    assert compression.levels.rms_dbfs == pytest.approx(-4.0, abs=0.3)


@pytest.mark.parametrize("channels", [2, 4])
def test_opposite_phase_is_not_silent(workshop: Workshop, channels: int) -> None:
    sound = opposite_phase(speech(2, channels=channels))
    sound[:, 1] *= 1.05
    compression = workshop.sound(sound)
    assert rms_dbfs(decode(compression.path, channels=1)) == pytest.approx(-26.0, abs=1.0)
    kept = {2: "channel 2 alone: channel 1 is", 4: "channels 2 and 4 in equal parts: channels 1 and 3 are"}
    assert compression.mixdown.startswith(f"{kept[channels]} in opposite phase to a louder one")
    assert compression.source.cancellation_db is not None
    assert compression.source.cancellation_db > 20


def test_opposite_phase_is_found_beside_another_speaker(workshop: Workshop) -> None:
    """Who holds up the mean of all three, in which the first one would be lost."""
    talk, other = speech(2, channels=1), speech(2, channels=1, seed=2)
    compression = workshop.sound(np.hstack([talk, -talk, other]))
    expected = (talk + other) / 2
    assert rms_dbfs(decode(compression.path, channels=1)) == pytest.approx(rms_dbfs(expected), abs=0.5)
    assert compression.mixdown.startswith("channels 1 and 3 in equal parts: channel 2 is in opposite phase")


def test_opposite_phase_is_found_beside_hum(workshop: Workshop) -> None:
    talk = speech(2, channels=1)
    compression = workshop.sound(np.hstack([talk, -talk, hum(2, level_dbfs=-18)]))
    assert rms_dbfs(decode(compression.path, channels=1)) == pytest.approx(rms_dbfs(talk), abs=0.5)
    assert compression.mixdown.startswith("channel 1 alone: channel 3 holds no signal (hum of 50 Hz")


def test_hum_in_phase_does_not_hide_talk_in_opposite_phase(workshop: Workshop) -> None:
    talk, mains = speech(4, channels=1, level_dbfs=-30), hum(4, level_dbfs=-32)
    compression = workshop.sound(np.hstack([mains + talk, mains - talk]))
    assert "in opposite phase to a louder one" in compression.mixdown
    assert rms_dbfs(decode(compression.path, channels=1)) == pytest.approx(rms_dbfs(talk + mains), abs=0.5)


def test_opposite_phase_at_times_loses_nobody(workshop: Workshop) -> None:
    """A cable that was turned around in the break; a mean would be silent from then on."""
    talk = speech(8, channels=1)
    other = talk.copy()
    other[4 * 44100 :] *= -1
    compression = workshop.sound(np.hstack([talk, other]))
    assert "channel 2 turned by 90 degrees" in compression.mixdown
    made = decode(compression.path, channels=1)
    for half in (made[: 4 * 16000], made[4 * 16000 :]):
        assert rms_dbfs(half) == pytest.approx(rms_dbfs(talk) - 3, abs=0.7)
    assert compression.source.worst_cancellation_db is not None
    assert compression.source.worst_cancellation_db > 20


def test_what_is_turned_does_not_clip(workshop: Workshop) -> None:
    """A square wave of full scale is far above it when its harmonics are turned."""
    square = np.sign(tone(8, channels=1, frequency_hz=151)) * 0.99
    other = square.copy()
    other[4 * 44100 :] *= -1
    compression = workshop.sound(np.hstack([square, other]))
    assert "dB quieter, for it would go over full scale" in compression.mixdown
    assert compression.levels.peak_dbfs == pytest.approx(-1, abs=0.2)


@pytest.mark.parametrize("channels", [1, 2])
def test_many_channels_in_opposite_phase_at_times(workshop: Workshop, channels: int) -> None:
    talk, another = speech(8, channels=1), speech(8, channels=1, seed=2)
    other = talk.copy()
    other[4 * 44100 :] *= -1
    sound = np.hstack([talk, another, other, another])
    compression = workshop.sound(sound, replace(DEFAULT, channels=channels))
    assert "channel 3 turned by 90 degrees" in compression.mixdown
    first, second = np.split(decode(compression.path, channels=channels), 2)
    assert rms_dbfs(first) == pytest.approx(rms_dbfs(second), abs=0.7)


def test_two_people_on_two_channels_are_no_opposites(workshop: Workshop) -> None:
    compression = workshop.sound(np.hstack([speech(8, channels=1), speech(8, channels=1, seed=2)]))
    assert compression.mixdown == "the mean of both channels"
    assert compression.source.worst_cancellation_db is not None
    assert compression.source.worst_cancellation_db < 1


def test_a_question_from_the_audience_is_heard(workshop: Workshop) -> None:
    """In minutes of digital silence on its channel, whose mean is that of a microphone without a cable."""
    talk, question = (
        speech(300, channels=1, level_dbfs=-20, sample_rate_hz=8000),
        silence(300, sample_rate_hz=8000)[:, :1],
    )
    question[1_000_000:1_000_800] = speech(0.1, channels=1, sample_rate_hz=8000)
    source = write_wav(workshop.path / "in.wav", np.hstack([talk, question]), sample_rate_hz=8000)
    compression = workshop.compress(source)
    assert compression.source.levels[1].rms_dbfs < -60
    assert compression.mixdown == "the mean of both channels"


def test_treble_that_the_low_rate_drops_is_not_taken_for_opposite_phase(workshop: Workshop) -> None:
    compression = workshop.sound(tone(1, frequency_hz=15000))
    assert compression.levels.rms_dbfs < -60
    assert compression.mixdown == "the mean of both channels"


def test_a_dead_channel_does_not_cost_6_db(workshop: Workshop) -> None:
    compression = workshop.sound(with_dead_channel(speech(2), 0))
    assert rms_dbfs(decode(compression.path, channels=1)) == pytest.approx(-26.0, abs=1.0)
    assert compression.mixdown == "channel 2 alone: channel 1 holds no signal (digital silence)"


@pytest.mark.parametrize("kind", sorted(set(SAMPLE_KINDS) - {"u8"}))  # its own noise is louder
@pytest.mark.parametrize("humming", [0, 1])
def test_a_channel_of_hum_is_left_out_of_the_mix(workshop: Workshop, kind: SampleKind, humming: int) -> None:
    talk, only_hum = speech(4.4, channels=1), hum(4.4, level_dbfs=-30)
    result = workshop.sound(np.hstack([talk, only_hum] if humming else [only_hum, talk]), kind=kind)
    assert result.mixdown.startswith(f"channel {2 - humming} alone")
    assert result.levels.rms_dbfs == pytest.approx(rms_dbfs(talk), abs=0.5)


def test_a_header_that_claims_more_than_recorders_write_is_not_listened_to(workshop: Workshop) -> None:
    """In a source of 64 channels of 1 MHz a second takes 660 MB."""
    sound = hum(1.2, sample_rate_hz=96_000).repeat(17, axis=1)
    source = write_wav(workshop.path / "in.wav", sound, sample_rate_hz=96_000)
    assert workshop.compress(source).source.hums == (NO_HUM,) * 17
    source = write_wav(workshop.path / "in.wav", sound[:, :16], sample_rate_hz=96_000)
    assert all(found.is_all for found in workshop.compress(source).source.hums)


@pytest.mark.parametrize("second", [21, 39])  # between the seconds that are listened to, and behind the last whole one
def test_a_word_in_the_hum_is_kept(workshop: Workshop, second: int) -> None:
    talk, other = speech(39.3, channels=1), hum(39.3, level_dbfs=-30)
    other[second * 44100 : second * 44100 + 9000] += speech(1, channels=1)[:9000]
    result = workshop.sound(np.hstack([talk, other]))
    assert result.mixdown == "the mean of both channels"
    assert result.source.hums[1].rms_dbfs == pytest.approx(-30, abs=1)


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_a_hot_float_source_does_not_clip(workshop: Workshop, audio_format: AudioFormat, kind: SampleKind) -> None:
    sound = speech(2, level_dbfs=-26)
    sound *= 10 ** (9 / 20) / np.max(np.abs(sound))
    compression = workshop.sound(sound, Profile(audio_format, 16000, 1, 64), kind)
    decoded = decode(compression.path, channels=1)
    assert -11.0 <= compression.gain_db <= -8.0
    assert rms_dbfs(decoded) == pytest.approx(rms_dbfs(sound) + compression.gain_db, abs=1.0)
    assert float(np.mean(np.abs(decoded) > 0.999)) == 0.0
    assert "dB quieter, for it would go over full scale" in compression.mixdown


def test_a_float_source_below_full_scale_is_left_alone(workshop: Workshop) -> None:
    assert workshop.sound(tone(0.5, level_dbfs=-0.5), kind="f32").gain_db == 0.0


def test_silence_is_a_result(workshop: Workshop) -> None:
    compression = workshop.sound(silence(2))
    assert compression.levels.is_digital_silence
    assert not decode(compression.path, channels=1).any()


@pytest.mark.parametrize("container", ["RIFF", "RF64", "W64"])
@pytest.mark.parametrize("declared", [0, 40_000, 10_000_000])
def test_a_broken_header_is_repaired_and_told(workshop: Workshop, container: Container, declared: int) -> None:
    source = write_wav(workshop.path / "in.wav", speech(1), container=container, declared_data_bytes=declared)
    before = source.read_bytes()
    compression = workshop.compress(source)
    assert len(decode(compression.path, channels=1)) == 16000
    assert compression.source.duration_seconds == 1.0
    assert compression.source.repair is not None
    assert compression.source.repair.endswith("; 1.0 s of sound were recovered")
    assert source.read_bytes() == before


def test_a_source_with_damage_inside_is_told(workshop: Workshop) -> None:
    whole = workshop.sound(speech(5), Profile("flac", 16000, 1, 32), "s16").path
    damaged = bytearray(whole.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 4000] = bytes(4000)
    source = workshop.path / "damaged.flac"
    source.write_bytes(damaged)
    compression = workshop.compress(source)
    assert compression.source.repair is not None
    assert "error(s) while decoding" in compression.source.repair
    assert compression.source.repair.endswith(f"; {compression.duration_seconds:.1f} s of sound were recovered")


def test_figures_of_a_compression(workshop: Workshop) -> None:
    compression = workshop.sound(speech(4), Profile("opus", 16000, 1, 32))
    assert (compression.codec, compression.sample_rate_hz, compression.channels) == ("opus", 16000, 1)
    assert compression.bitrate_kbps == pytest.approx(compression.size_bytes * 8 / 4.0 / 1000, rel=0.001)
    source = compression.source
    assert (source.codec, source.sample_rate_hz, source.channels) == ("pcm_s16le", 44100, 2)
    assert source.duration_seconds == 4.0
    assert compression.ffmpeg_version == workshop.ffmpeg.version
    assert compression.encoding_seconds > 0
    assert str(workshop.path) not in compression.ffmpeg_command
    assert compression.ffmpeg_command.startswith("ffmpeg ")
    json.dumps([level.rms_dbfs for level in source.levels], allow_nan=False)


def test_the_command_can_be_repeated_in_a_shell(workshop: Workshop) -> None:
    compression = workshop.sound(opposite_phase(speech(1)))
    content = compression.path.read_bytes()
    compression.path.unlink()
    binary = Path(imageio_ffmpeg.get_ffmpeg_exe())
    command = compression.ffmpeg_command.replace("ffmpeg", str(binary), 1)
    subprocess.run(command, shell=True, cwd=workshop.path, check=True, capture_output=True)  # noqa: S602
    assert compression.path.read_bytes() == content


@pytest.mark.parametrize("sound", [speech(30), tone(0.02), silence(1), speech(30, level_dbfs=-8) * 0.9])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_waveform_is_a_small_picture(workshop: Workshop, sound: Sound, channels: int) -> None:
    png = workshop.sound(sound, replace(DEFAULT, channels=channels)).waveform_png
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (600, 80)
    assert len(png) < 4000
    if sound.any():
        assert opaque_pixels(png) > 600


def opaque_pixels(png: bytes) -> int:
    """Pixels that are not transparent; enough of PNG for what FFmpeg writes (RGBA, filters that add and subtract)."""
    raw = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgba", "-"],
        input=png,
        capture_output=True,
        check=True,
    ).stdout
    return int(np.count_nonzero(np.frombuffer(raw, np.uint8)[3::4]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty .0 bytes."),
        (b"Dear diary, this is not a recording.\n" * 50, "holds no sound that FFmpeg can read"),
        (np.random.default_rng(1).bytes(200_000), "holds no sound that FFmpeg can read|by chance"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "holds no sound"),
        (b"\0" * 100_000, "holds no sound"),
        (zlib.compress(b"x" * 100_000), "holds no sound"),
    ],
)
@pytest.mark.parametrize("name", ["StereoMix.wav", "StereoMix.mp3", "StereoMix.aac"])
def test_what_is_not_audio(workshop: Workshop, content: bytes, said: str, name: str) -> None:
    source = workshop.path / name
    source.write_bytes(content)
    with pytest.raises(NotAudioError, match=said) as caught:
        workshop.compress(source)
    assert name in str(caught.value)
    assert workshop.left_over() == []


def test_samples_that_may_be_this_or_that_are_no_guess(workshop: Workshop) -> None:
    """4 bytes each, of which 24 bits are valid: integers to some, floating point numbers to others."""
    source = write_wav(workshop.path / "in.wav", speech(1), kind="s32", extensible=False)
    content = bytearray(source.read_bytes())
    content[34:36] = struct.pack("<H", 24)
    source.write_bytes(content)
    with pytest.raises(NotAudioError, match="may be integers or floating point numbers"):
        workshop.compress(source)
    assert workshop.left_over() == []


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_a_wav_without_sound(workshop: Workshop, samples: int) -> None:
    trailer = chunk(b"LIST", b"INFO") if samples == 0 else b""
    source = write_wav(workshop.path / "in.wav", speech(1)[:samples], trailer=trailer)
    with pytest.raises(NotAudioError, match=r"header but no sound|lasts only"):
        workshop.compress(source)
    assert workshop.left_over() == []


def test_a_source_that_is_gone_or_a_directory(workshop: Workshop) -> None:
    with pytest.raises(NotAudioError, match="cannot be read: No such file"):
        workshop.compress(workshop.path / "gone.wav")
    with pytest.raises(NotAudioError, match="is not a file"):
        workshop.compress(workshop.path)


def test_kill_all_ends_a_long_encode_and_leaves_nothing(workshop: Workshop) -> None:
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (3600 * 8000, 1))
    source = write_wav(workshop.path / "long.wav", noise, sample_rate_hz=8000, kind="u8")
    raised: list[BaseException] = []

    def work() -> None:
        try:
            workshop.compress(source, Profile("opus", 48000, 1, 64))
        except CancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: any(path.stat().st_size > 0 for path in workshop.path.glob("out.opus")), seconds=60)
    started = time.monotonic()
    workshop.children.kill_all()
    thread.join(timeout=20)
    assert time.monotonic() - started < 3
    assert len(raised) == 1
    assert workshop.left_over() == []
    assert processes_with(file_url(source)) == []


def test_a_hanging_ffmpeg_is_stopped_by_the_time_limit(workshop: Workshop) -> None:
    hanging = find_ffmpeg(str(answering_script(workshop.path / "hanging", "sleep 1000")))
    source = write_wav(workshop.path / "in.wav", speech(1))
    started = time.monotonic()
    with pytest.raises(EncodingError, match="time limit of 1 s"):
        compress(
            source,
            workshop.path / "out.wav",
            DEFAULT,
            ffmpeg=hanging,
            children=workshop.children,
            time_limit=TimeLimit(base_seconds=1, seconds_per_mb=0.1),
        )
    assert time.monotonic() - started < 5
    assert workshop.left_over() == []


@pytest.mark.parametrize(
    ("audio_format", "spoil", "check"),
    [
        ("wav", 'head -c 9000 "$file" > "$file.cut"', "decodes_to_end"),
        ("wav", '"$REAL" -v error -i "$file" -t 1 -f wav "$file.cut"', "duration_matches"),
        ("wav", '"$REAL" -v error -i "$file" -ar 8000 -f wav "$file.cut"', "decodes_to_end"),
        ("wav", '"$REAL" -v error -i "$file" -f flac "$file.cut"', "decodes_to_end"),
        ("opus", 'head -c 9000 "$file" > "$file.cut"', "duration_matches"),
        ("opus", 'yes garbage | head -c 20000 > "$file.cut"', "decodes_to_end"),
        ("flac", ': > "$file.cut"', "decodes_to_end"),
    ],
)
def test_an_ffmpeg_that_lies_is_found_out(
    workshop: Workshop, audio_format: AudioFormat, spoil: str, check: str
) -> None:
    """It exits with 0 after encoding, but what it leaves is short, garbage or empty."""
    then = f"""
    "$REAL" "$@" || exit $?
    for last in "$@"; do :; done
    case "$last" in file:*) file="${{last#file:}}"; {spoil}; mv "$file.cut" "$file";; esac"""
    liar = find_ffmpeg(str(answering_script(workshop.path / "liar", then)))
    source = write_wav(workshop.path / "in.wav", speech(3))
    profile = Profile(audio_format, 16000, 1, 32)
    destination = workshop.path / f"out.{audio_format}"
    with pytest.raises(VerificationError) as caught:
        compress(source, destination, profile, ffmpeg=liar, children=workshop.children)
    assert caught.value.check == check
    assert workshop.left_over() == []


def test_a_format_that_this_ffmpeg_cannot_write(workshop: Workshop) -> None:
    poor = answering_script(workshop.path / "poor", "exit 1")
    text = poor.read_text().replace(
        "*-version|*-encoders) exec", "*-encoders) echo ' A....D aac AAC'; exit;; *-version) exec"
    )
    poor.write_text(text)
    source = write_wav(workshop.path / "in.wav", speech(1))
    with pytest.raises(FfmpegMissingError, match="without the encoder libopus"):
        compress(
            source,
            workshop.path / "out.opus",
            Profile("opus", 16000, 1, 32),
            ffmpeg=find_ffmpeg(str(poor)),
            children=workshop.children,
        )


@pytest.mark.parametrize("sample_rate_hz", [1, 1_999, 1_000_001])
def test_a_sample_rate_that_no_recorder_writes(workshop: Workshop, sample_rate_hz: int) -> None:
    """1 Hz would make 32 GB out of a small file."""
    source = write_wav(workshop.path / "in.wav", speech(0.01), sample_rate_hz=sample_rate_hz)
    with pytest.raises(NotAudioError, match=rf"{sample_rate_hz:,} samples a second; recorders write"):
        workshop.compress(source)
    assert workshop.left_over() == []


def test_the_lowest_sample_rate_that_is_taken(workshop: Workshop) -> None:
    source = write_wav(workshop.path / "in.wav", speech(0.5), sample_rate_hz=2_000)
    assert workshop.compress(source).duration_seconds == pytest.approx(11.025, abs=0.05)
