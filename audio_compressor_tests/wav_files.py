"""Writes WAV files of every kind that a recorder may leave behind, right and wrong ones; for all tests.

Everything is deterministic: the same call gives the same bytes. Sounds are float arrays of shape (frames, channels)
with full scale at 1.0; `write_wav` turns them into a file, whole or damaged as its arguments say.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]
SampleKind = Literal["u8", "s16", "s24", "s32", "f32", "f64"]
Container = Literal["RIFF", "RF64", "W64"]

BITS: dict[SampleKind, int] = {"u8": 8, "s16": 16, "s24": 24, "s32": 32, "f32": 32, "f64": 64}
SAMPLE_KINDS: tuple[SampleKind, ...] = tuple(BITS)

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# The sub-format GUID of WAVE_FORMAT_EXTENSIBLE: the format tag, then these 14 bytes (Microsoft, ksmedia.h).
_GUID_TAIL = bytes.fromhex("0000000010008000 00aa00389b71".replace(" ", ""))
# Sony Wave64: each chunk id is a GUID whose first four bytes are the RIFF id.
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
# Speaker positions that FFmpeg and Windows assume for a channel count.
_MASKS = {1: 0x4, 2: 0x3, 3: 0xB, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}


def tone(
    seconds: float = 1.0,
    *,
    channels: int = 2,
    sample_rate_hz: int = 44100,
    level_dbfs: float = -12.0,
    frequency_hz: float = 440.0,
) -> Sound:
    """The same sine in every channel; ``level_dbfs`` is its peak."""
    frames = round(seconds * sample_rate_hz)
    wave = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * frequency_hz * np.arange(frames) / sample_rate_hz)
    return np.repeat(wave[:, None], channels, axis=1)


def tones(frequencies_hz: Sequence[float], seconds: float = 1.0, *, sample_rate_hz: int = 44100) -> Sound:
    """One channel for each frequency, each with a sine of -12 dBFS peak: tells the channels apart after a mix."""
    each = [tone(seconds, channels=1, sample_rate_hz=sample_rate_hz, frequency_hz=hz) for hz in frequencies_hz]
    return np.hstack(each)


def speech(
    seconds: float = 2.0, *, channels: int = 2, sample_rate_hz: int = 44100, level_dbfs: float = -26.0, seed: int = 1
) -> Sound:
    """Syllables of band-limited noise over a faint floor, about as dense as talk; ``level_dbfs`` is its RMS."""
    frames = round(seconds * sample_rate_hz)
    noise = np.random.default_rng(seed).standard_normal(frames)
    smooth = np.convolve(noise, np.ones(8) / 8, mode="same") if frames >= 8 else noise
    syllables = 0.02 + np.maximum(0.0, np.sin(2 * np.pi * 3.3 * np.arange(frames) / sample_rate_hz)) ** 2
    wave = smooth * syllables
    wave *= 10 ** (level_dbfs / 20) / max(float(np.sqrt(np.mean(wave**2))), 1e-12)
    return np.repeat(np.clip(wave, -1.0, 1.0)[:, None], channels, axis=1)


def hum(
    seconds: float = 2.0,
    *,
    mains_hz: float = 50.0,
    level_dbfs: float = -40.0,
    sample_rate_hz: int = 44100,
) -> Sound:
    """One channel with what an open microphone cable picks up: harmonics of the mains, and the noise of the recorder at
    -75 dBFS; ``level_dbfs`` is the RMS of the hum.
    """
    times = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    strengths = {1: 1.0, 2: 0.5, 3: 0.3, 5: 0.15, 7: 0.1}
    sound: Sound = np.random.default_rng(1).standard_normal((len(times), 1)) * 10 ** (-75 / 20)
    scale = 10 ** (level_dbfs / 20) / np.sqrt(sum(s**2 for s in strengths.values()) / 2)
    for number, strength in strengths.items():
        sound[:, 0] += scale * strength * np.sin(2 * np.pi * mains_hz * number * times + number)
    return sound


def silence(seconds: float = 1.0, *, channels: int = 2, sample_rate_hz: int = 44100) -> Sound:
    return np.zeros((round(seconds * sample_rate_hz), channels))


def opposite_phase(sound: Sound) -> Sound:
    """Every second channel inverted, as a miswired microphone leaves it."""
    return sound * np.where(np.arange(sound.shape[1]) % 2, -1.0, 1.0)


def with_dead_channel(sound: Sound, channel: int = 1) -> Sound:
    """One channel replaced by digital silence."""
    dead = sound.copy()
    dead[:, channel] = 0.0
    return dead


def sample_bytes(sound: Sound, kind: SampleKind = "s16") -> bytes:
    """Interleaved little-endian samples; integers clip at full scale, floats do not."""
    if kind in {"f32", "f64"}:
        return sound.astype("<f4" if kind == "f32" else "<f8").tobytes()
    bits = BITS[kind]
    full_scale = 2.0 ** (bits - 1)
    integers = np.clip(np.round(sound * full_scale), -full_scale, full_scale - 1).astype("<i8")
    if kind == "u8":
        return (integers + 128).astype(np.uint8).tobytes()
    as_bytes = np.frombuffer(integers.tobytes(), np.uint8).reshape(-1, 8)
    return as_bytes[:, : bits // 8].tobytes()


def write_wav(
    path: Path,
    sound: Sound,
    *,
    sample_rate_hz: int = 44100,
    kind: SampleKind = "s16",
    container: Container = "RIFF",
    extensible: bool | None = None,
    channel_mask: int | None = None,
    declared_data_bytes: int | None = None,
    trailer: bytes = b"",
) -> Path:
    """Write ``sound`` and return ``path``.

    ``extensible``: WAVE_FORMAT_EXTENSIBLE; by default for over 2 channels, and integers of over 16 bits.
    ``channel_mask``: the speaker positions in WAVE_FORMAT_EXTENSIBLE; by default the usual ones.
    ``declared_data_bytes``: what the header says about the size of the samples; by default the truth. The size of the
    whole file in the header follows it. ``trailer``: chunks (see `chunk`) or anything else after the samples.
    """
    channels = sound.shape[1]
    if extensible is None:
        extensible = channels > 2 or kind in {"s24", "s32"}
    data = sample_bytes(sound, kind)
    declared = len(data) if declared_data_bytes is None else declared_data_bytes
    fmt = format_chunk(channels, sample_rate_hz, kind, extensible=extensible, channel_mask=channel_mask)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        _HEADERS[container](fmt, declared, channels * BITS[kind] // 8, trailer) + data + _pad(data) + trailer
    )
    return path


def write_truncated_wav(path: Path, sound: Sound, *, keep: float, kind: SampleKind = "s16") -> Path:
    """A whole file of which only the share ``keep`` of the samples arrived; its header speaks of all."""
    frames = round(len(sound) * keep)
    frame_bytes = sound.shape[1] * BITS[kind] // 8
    return write_wav(path, sound[:frames], kind=kind, declared_data_bytes=len(sound) * frame_bytes)


def format_chunk(
    channels: int,
    sample_rate_hz: int,
    kind: SampleKind,
    *,
    extensible: bool = False,
    channel_mask: int | None = None,
) -> bytes:
    """The body of a ``fmt `` chunk."""
    bits = BITS[kind]
    tag = _FLOAT if kind in {"f32", "f64"} else _PCM
    frame_bytes = channels * bits // 8
    basic = struct.pack("<HIIHH", channels, sample_rate_hz, sample_rate_hz * frame_bytes, frame_bytes, bits)
    if not extensible:
        return struct.pack("<H", tag) + basic
    mask = _MASKS.get(channels, 0) if channel_mask is None else channel_mask
    extension = struct.pack("<HHIH", 22, bits, mask, tag) + _GUID_TAIL
    return struct.pack("<H", _EXTENSIBLE) + basic + extension


def chunk(chunk_id: bytes, body: bytes) -> bytes:
    """One RIFF chunk with its padding."""
    return chunk_id + struct.pack("<I", len(body)) + body + _pad(body)


def _riff_header(fmt: bytes, declared: int, frame_bytes: int, trailer: bytes) -> bytes:
    body = b"WAVE" + chunk(b"fmt ", fmt) + b"data" + struct.pack("<I", declared)
    whole = min(len(body) + declared + len(trailer), 0xFFFFFFFF)
    return b"RIFF" + struct.pack("<I", whole) + body


def _rf64_header(fmt: bytes, declared: int, frame_bytes: int, trailer: bytes) -> bytes:
    """EBU Tech 3306: 32-bit sizes are -1, the true ones are in the ds64 chunk."""
    rest = chunk(b"fmt ", fmt) + b"data" + struct.pack("<I", 0xFFFFFFFF)
    whole = (len(b"WAVE") + 36 + len(rest) + declared + len(trailer)) & _ALL_64
    ds64 = chunk(b"ds64", struct.pack("<QQQI", whole, declared, declared // frame_bytes, 0))
    return b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + ds64 + rest


def _w64_header(fmt: bytes, declared: int, frame_bytes: int, trailer: bytes) -> bytes:
    """Sony's sizes are 64 bits wide, include the 24 bytes of the chunk's head, and chunks align to 8 bytes."""
    fmt_padded = fmt + bytes(-len(fmt) % 8)
    fmt_chunk = b"fmt " + _W64_TAIL + struct.pack("<Q", 24 + len(fmt)) + fmt_padded
    rest = b"wave" + _W64_TAIL + fmt_chunk + b"data" + _W64_TAIL + struct.pack("<Q", (24 + declared) & _ALL_64)
    return _W64_RIFF + struct.pack("<Q", (24 + len(rest) + declared) & _ALL_64) + rest


_ALL_64 = (1 << 64) - 1
_HEADERS = {"RIFF": _riff_header, "RF64": _rf64_header, "W64": _w64_header}


def _pad(body: bytes) -> bytes:
    return b"\0" * (len(body) % 2)
