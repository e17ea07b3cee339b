"""Files that strangers might upload to do harm through FFmpeg: each function gives the bytes of one."""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg

from audio_compressor_tests.wav_files import chunk, format_chunk, speech, write_wav

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def made(path: Path, *arguments: str, seconds: float = 1.0) -> bytes:
    """Two channels of talk, written by FFmpeg itself to a file of this name."""
    source = write_wav(path.with_name("source-of.wav"), speech(seconds))
    command = [FFMPEG, "-nostdin", "-v", "error", "-y", "-i", str(source)]
    subprocess.run([*command, *arguments, "-bitexact", str(path)], check=True)
    return path.read_bytes()


def patched(data: bytes, find: bytes, offset: int, new: bytes) -> bytes:
    """``data`` with ``new`` at ``offset`` behind the start of what is found."""
    start = data.index(find) + offset
    return data[:start] + new + data[start + len(new) :]


# -- references to other files


def hls_playlist(target: str) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:10", "#EXTINF:10.0,", target, "#EXT-X-ENDLIST", ""]
    return "\n".join(lines).encode()


def dash_manifest(target: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" '
        f'bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ).encode()


def concat_script(target: str) -> bytes:
    return f"ffconcat version 1.0\nfile '{target}'\n".encode()


def session_description(port: int) -> bytes:
    return f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n".encode()


def picture(target: str) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>'.encode()


def subtitles(target: str) -> bytes:
    return f"[Script Info]\n[Events]\nDialogue: 0,0:00:00.00,0:00:09.00,,,0,0,0,,{{\\fn{target}}}x\n".encode()


def movie_elsewhere(path: Path, target: Path) -> bytes:
    """A QuickTime file without sound of its own: the table of its packets is about another file (dref, ``url ``).

    FFmpeg reads ``alis`` entries, so the reference is one: a Macintosh alias with the absolute path (tag 18).
    """
    data = made(path, "-f", "mov", "-c:a", "pcm_s16le")
    name = target.name.encode()
    alias = bytes(10) + b"\x04disk" + bytes(23 + 12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    alias += struct.pack(">hh", 1, 1) + bytes(16)
    text = b"disk" + str(target).replace("/", ":").encode()
    alias += struct.pack(">HH", 2, len(text)) + text + bytes(len(text) % 2) + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    before = data.index(b"dref") - 4
    old_size = struct.unpack(">I", data[before : before + 4])[0]
    new = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    grown = data[:before] + new + data[before + old_size :]
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        # The second ``minf``-like word might be inside samples; the boxes are behind them.
        start = grown.rindex(kind) - 4
        size = struct.unpack(">I", grown[start : start + 4])[0] + len(new) - old_size
        grown = grown[:start] + struct.pack(">I", size) + grown[start + 4 :]
    return grown


# -- headers that claim too much


def wav_claiming(channels: int = 2, sample_rate_hz: int = 44100, bits: int = 16, declared: int | None = None) -> bytes:
    fmt = format_chunk(2, 44100, "s16")
    frame_bytes = min(channels * bits // 8, 0xFFFF)
    fmt = struct.pack(
        "<HHIIHH", 1, channels, sample_rate_hz, (sample_rate_hz * frame_bytes) & 0xFFFFFFFF, frame_bytes, bits
    )
    samples = bytes(range(256)) * 400
    declared = len(samples) if declared is None else declared
    body = b"WAVE" + chunk(b"fmt ", fmt) + b"data" + struct.pack("<I", declared) + samples
    return b"RIFF" + struct.pack("<I", min(len(body), 0xFFFFFFFF)) + body


def movie_with_samples(path: Path, samples: int) -> bytes:
    """An M4A whose tables speak of as many packets of one size, which takes 12 bytes to say."""
    data = made(path, "-f", "ipod", "-c:a", "aac")
    data = patched(data, b"stsz", 8, struct.pack(">II", 1, samples))
    data = patched(data, b"stts", 8, struct.pack(">III", 1, samples, 1024))
    return patched(data, b"stsc", 8, struct.pack(">IIII", 1, 1, samples, 1))


def flac_of_silence(frames: int, sample_rate_hz: int = 2000) -> bytes:
    """Each frame of 14 bytes is 65,535 samples of digital silence: at 2 kHz, a megabyte is 28 days."""
    info = struct.pack(">HH", 65535, 65535) + bytes(6) + ((sample_rate_hz << 44) | (15 << 36)).to_bytes(8, "big")
    head = b"fLaC" + bytes([0x80, 0, 0, 34]) + info + bytes(16)
    return head + b"".join(_silent_frames(frames))


def _silent_frames(frames: int) -> Iterator[bytes]:
    for number in range(frames):
        # Sync, block size in 16 bits at the end of the header, rate and depth of the stream, one channel.
        start = b"\xff\xf8\x70\x08" + _utf8(number) + struct.pack(">H", 65534)
        start += bytes([_crc(start, 0x07, 8)])
        frame = start + b"\0\0\0"  # a constant of 16 bits
        yield frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _utf8(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass")


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    register, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        register ^= byte << (bits - 8)
        for _ in range(8):
            register = ((register << 1) ^ (polynomial if register & top else 0)) & mask
    return register
