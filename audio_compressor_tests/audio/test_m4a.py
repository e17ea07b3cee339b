"""Packets of real M4A files: read, exchanged, and played to the end by FFmpeg."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audio_compressor.audio.aac import AacEncoder
from audio_compressor.audio.exchanged import peaks_after
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.ladder import LADDER, PACKET_FRAMES
from audio_compressor.audio.limiter import Decibels
from audio_compressor.audio.m4a import M4a, read_m4a, window
from audio_compressor.audio.overshoot import Excerpt, dips_db, excerpts, replacements
from audio_compressor.audio.progress import no_progress
from audio_compressor.audio.stereo import Stereo, decode_to_stereo
from audio_compressor.audio.treatment import Treatment
from audio_compressor.audio.true_peak import BLOCK, FLOOR_DBTP, Floats, PeakMeter
from audio_compressor.errors import EncodingError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.loud_sounds import RATE_HZ, music
from audio_compressor_tests.audio.measuring import decode
from audio_compressor_tests.wav_files import Sound, sample_bytes, silence, write_wav

LOW = LADDER[-1]
SECONDS = 8.0
FLAT = np.zeros(round(SECONDS * RATE_HZ) // BLOCK + 2, np.float32)


class Studio:
    def __init__(self, path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self.path = path
        self._ffmpeg, self._children = ffmpeg, children
        self.encoder = AacEncoder("fast", ffmpeg, children, 60)

    def decoded(self, sound: Sound) -> Stereo:
        source = write_wav(self.path / "in.wav", sound, kind="f32")
        return decode_to_stereo(
            source, self.path / "raw", ffmpeg=self._ffmpeg, children=self._children, timeout_seconds=60
        )

    def encode(self, sound: Sound, name: str = "a.m4a") -> Path:
        path = self.path / name
        self.encoder.encode(self.decoded(sound), path, LOW, Treatment(0.0, FLAT), no_progress)
        return path


def packets_of(m4a: M4a) -> list[bytes]:
    return [m4a[number] for number in range(len(m4a))]


@pytest.fixture
def studio(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Studio:
    return Studio(tmp_path, ffmpeg, children)


def test_every_packet_is_found(studio: Studio) -> None:
    path = studio.encode(music(SECONDS))
    m4a = read_m4a(path)
    packets = packets_of(m4a)
    assert len(packets) == len(m4a) == -(-round(SECONDS * RATE_HZ) // PACKET_FRAMES) + 1
    assert b"".join(packets) == path.read_bytes()[-sum(m4a.sizes) :]
    m4a.write_exchanged({}, studio.path / "same.m4a")
    assert (studio.path / "same.m4a").read_bytes() == path.read_bytes()
    assert {window(packet) for packet in packets} >= {1, 2, 4}, "long, beginning to be short, short"


def test_packets_of_other_sizes_take_the_place_of_others(studio: Studio) -> None:
    first = read_m4a(studio.encode(music(SECONDS)))
    second = read_m4a(studio.encode(music(SECONDS) * 0.1, "b.m4a"))
    path = studio.path / "c.m4a"
    first.write_exchanged(dict(enumerate(packets_of(second))), path)
    assert packets_of(read_m4a(path)) == packets_of(second)
    assert np.array_equal(decode(path, channels=2), decode(studio.path / "b.m4a", channels=2))


def test_digital_silence_has_packets_of_one_size(studio: Studio) -> None:
    m4a = read_m4a(studio.encode(silence(SECONDS)))
    assert not m4a.has_size_table
    assert len(set(m4a.sizes)) == 1
    assert b"".join(packets_of(m4a)) == (studio.path / "a.m4a").read_bytes()[-sum(m4a.sizes) :]


def without_size_table(data: bytes) -> bytes:
    return data.replace(b"stsz", b"free")


def with_more_behind(data: bytes) -> bytes:
    return data + struct.pack(">I4s", 8, b"free")


def cut_off(data: bytes) -> bytes:
    return data[:-9]


def with_a_wrong_size(data: bytes) -> bytes:
    at = data.index(b"stsz") + 16
    return data[:at] + struct.pack(">I", 1) + data[at + 4 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_size_table, "no stsz box"),
        (with_more_behind, "at the end of the file"),
        (cut_off, "no mdat box"),
        (with_a_wrong_size, "do not fill its mdat box"),
    ],
)
def test_a_file_that_is_put_together_otherwise_is_refused(
    studio: Studio, change: Callable[[bytes], bytes], message: str
) -> None:
    path = studio.encode(music(SECONDS))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(EncodingError, match=rf"a\.m4a is no M4A as FFmpeg .*{message}"):
        read_m4a(path)


# -- overshoots


def dipped(blocks: range) -> Decibels:
    """Peaks of 3 dB over the limit there."""
    peaks = np.zeros(len(FLAT) - 1, np.float32)
    peaks[blocks.start : blocks.stop] = 10 ** (1.5 / 20)
    return dips_db(peaks, -1.5)


def peaks_of(sound: Sound) -> Floats:
    meter = PeakMeter(2, FLOOR_DBTP)
    meter.add(sample_bytes(sound, "f32"))
    return meter.peaks()


def exchange(studio: Studio, sound: Sound, blocks: range) -> tuple[M4a, list[Excerpt], Path]:
    dips, path = dipped(blocks), studio.encode(sound)
    decoded = studio.decoded(sound)
    stretches = excerpts(dips, decoded.frames)
    spans = [stretch.span(decoded.frames) for stretch in stretches]
    new = studio.path / "new.m4a"
    studio.encoder.encode_excerpts(decoded, new, LOW, Treatment(0.0, dips), spans)
    old = read_m4a(path)
    packets = replacements(old, read_m4a(new), stretches)
    assert packets is not None
    exchanged = studio.path / "exchanged.m4a"
    old.write_exchanged(packets, exchanged)
    return old, stretches, exchanged


@pytest.mark.parametrize("first", [0, 1400, 2800, len(FLAT) - 6])
def test_only_the_sound_around_a_dip_changes(studio: Studio, first: int) -> None:
    sound = music(SECONDS)
    old, (stretch,), exchanged = exchange(studio, sound, range(first, first + 5))
    before, after = decode(studio.path / "a.m4a", channels=2), decode(exchanged, channels=2)
    assert len(before) == len(after) == len(sound)
    new = read_m4a(exchanged)
    changed = [number for number, packet in enumerate(packets_of(old)) if packet != new[number]]
    peaks = peaks_after(new, changed, peaks_of(before), len(sound), FLOOR_DBTP, studio.path / "new", studio.encoder)
    assert not np.array_equal(peaks_of(before), peaks_of(after))
    assert peaks == pytest.approx(peaks_of(after), abs=1e-6), "as the whole file is measured"
    start, end = (stretch.first - 1) * PACKET_FRAMES, (stretch.end + 1) * PACKET_FRAMES
    assert np.array_equal(before[: max(0, start)], after[: max(0, start)])
    assert np.array_equal(before[end:], after[end:])
    # What is new is as like the sound as what was there, outside of the dip.
    inside = slice(first * BLOCK, (first + 5) * BLOCK)
    if before[inside].any():
        quieter_db = 20 * np.log10(np.abs(after[inside]).max() / np.abs(before[inside]).max())
        assert quieter_db < -1.5
    around = np.r_[max(0, start) : max(0, first * BLOCK - 2000), (first + 205) * BLOCK : min(end, len(sound))]
    noise_before, noise_after = (float(np.mean((heard[around] - sound[around]) ** 2)) for heard in (before, after))
    assert noise_after < 1.5 * noise_before


def test_every_block_that_is_measured_anew_reads_as_in_the_whole_file(studio: Studio) -> None:
    sound = music(SECONDS)
    path = studio.encode(sound)
    packets, whole = read_m4a(path), peaks_of(decode(path, channels=2))
    exchanged, nothing = range(3, len(packets), 9), np.full_like(whole, -1.0)
    peaks = peaks_after(packets, exchanged, nothing, len(sound), FLOOR_DBTP, studio.path / "new", studio.encoder)
    anew = np.flatnonzero(peaks >= 0)
    assert peaks[anew] == pytest.approx(whole[anew], abs=1e-6)
    for number in exchanged:
        around = peaks[(number - 1) * PACKET_FRAMES // BLOCK : -(-(number + 1) * PACKET_FRAMES // BLOCK)]
        assert (around >= 0).all()


def test_every_packet_whose_sound_changes_is_among_those_that_must(studio: Studio) -> None:
    dips = dipped(range(2000, 2003))
    (stretch,) = excerpts(dips, len(FLAT) * BLOCK)
    changed = np.flatnonzero(np.maximum(dips[:-1], dips[1:])) * BLOCK
    first, last = changed[0] // PACKET_FRAMES, (changed[-1] + BLOCK - 1) // PACKET_FRAMES + 1
    assert (stretch.needed.start, stretch.needed.stop - 1) == (first, last)
    assert stretch.first < first - 8
    assert stretch.end > last + 8


def test_what_lies_close_together_is_one_excerpt() -> None:
    dips = dipped(range(1000, 1003)) + dipped(range(1100, 1103)) + dipped(range(3000, 3003))
    found = excerpts(dips, len(FLAT) * BLOCK)
    assert len(found) == 2
    assert found[0].end < found[1].first


def test_nothing_over_the_limit_is_nothing_to_do() -> None:
    dips = dips_db(np.full(100, 0.8, np.float32), -1.5)
    assert not dips.any()
    assert excerpts(dips, 100 * BLOCK) == []


def test_windows_that_do_not_fit_are_not_joined() -> None:
    long, short = b"\x21\x00" + bytes(8), b"\x21\x20" + bytes(8)
    assert (window(long), window(short)) == (0, 2)
    stretch = Excerpt(10, 60, range(30, 33))
    assert replacements([long] * 80, [long] * 51, [stretch]) is not None
    assert replacements([long] * 80, [short] * 51, [stretch]) is None
