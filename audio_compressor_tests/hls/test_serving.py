"""The small server, and FFmpeg playing from it: this machine only, whatever the environment says."""

import http.client
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg, loopback_input_arguments
from audio_compressor.errors import CancelledError, EncodingError
from audio_compressor.hls.delivery import Delivery, delivery_of
from audio_compressor.hls.layout import SegmentType
from audio_compressor.hls.play import play_ladder
from audio_compressor.hls.server import serve_directory
from audio_compressor.processes import ChildProcesses

SAMPLES = 1078 * 1024 * 2
Ladders = Callable[[SegmentType], Path]


def get(port: int, path: str, method: str = "GET") -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("name", "content_type", "cache_control"),
    [
        ("playlist.m3u8", "application/vnd.apple.mpegurl", "public, max-age=60"),
        ("low/segment_0123456789_000.ts", "video/mp2t", "public, max-age=31536000, immutable"),
        ("low/segment_0123456789_000.m4s", "video/iso.segment", "public, max-age=31536000, immutable"),
        ("low/init_0123456789.mp4", "audio/mp4", "public, max-age=31536000, immutable"),
        ("t.m4a", "audio/mp4", "public, max-age=60"),
    ],
)
def test_files_are_delivered_as_players_need_them(
    tmp_path: Path, name: str, content_type: str, cache_control: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"content")
    with serve_directory(tmp_path) as serving:
        status, headers, body = get(serving.port, f"/{name}")
    assert (status, body) == (200, b"content")
    assert (headers["Content-Type"], headers["Cache-Control"]) == (content_type, cache_control)
    assert delivery_of(name) == Delivery(content_type, cache_control)
    assert serving.refused == []


@pytest.mark.parametrize(
    "path", ["/", "/low/", "/none.ts", "/../secret.ts", "/%2e%2e/secret.ts", "/low/../../secret.ts"]
)
def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.ts").write_bytes(b"secret")
    (tmp_path / "served" / "low").mkdir(parents=True)
    with serve_directory(tmp_path / "served") as serving:
        status, headers, body = get(serving.port, path)
    assert status == 404
    assert b"secret" not in body
    assert "immutable" not in headers.get("Cache-Control", "")
    assert serving.refused == [path]


def test_what_changes_files_is_refused(tmp_path: Path) -> None:
    with serve_directory(tmp_path) as serving:
        assert get(serving.port, "/x.ts", "PUT")[0] == 501
        assert get(serving.port, "/x.ts", "DELETE")[0] == 501


def test_only_this_machine_is_served(tmp_path: Path) -> None:
    with serve_directory(tmp_path) as serving, socket.socket() as other:
        # The whole of 127.0.0.0/8 is this machine; a server on all addresses would answer here.
        assert other.connect_ex(("127.0.0.2", serving.port)) != 0


def play(directory: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> tuple[tuple[int, ...], str]:
    played = play_ladder(directory, 3, ffmpeg=ffmpeg, children=children, timeout_seconds=60)
    return played.samples, played.problem


@pytest.mark.parametrize("segment_type", ["mpegts", "fmp4"])
def test_every_variant_plays_to_its_end(
    ladders: Ladders, ffmpeg: Ffmpeg, children: ChildProcesses, segment_type: SegmentType
) -> None:
    assert play(ladders(segment_type), ffmpeg, children) == ((SAMPLES,) * 3, "")


def test_a_proxy_is_not_asked(
    ladders: Ladders, ffmpeg: Ffmpeg, children: ChildProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert play(ladders("mpegts"), ffmpeg, children) == ((SAMPLES,) * 3, "")


def test_what_is_missing_is_told(ladders: Ladders, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
    directory = ladders("mpegts")
    [path] = directory.glob("high/segment_*_002.ts")
    path.unlink()
    samples, problem = play(directory, ffmpeg, children)
    assert problem == f"it asked in vain for /high/{path.name}"
    assert samples[:2] == (SAMPLES, SAMPLES)
    assert samples[2] < SAMPLES


@pytest.mark.parametrize("uri", ["file:{secret}", "{secret}", "/{secret}", "concat:{secret}", "crypto:{secret}"])
def test_a_playlist_reads_no_file_of_this_machine(
    ladders: Ladders, ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path, uri: str
) -> None:
    """The checker does not even play such a playlist; should it ever, FFmpeg refuses."""
    directory = ladders("mpegts")
    [segment] = directory.glob("low/segment_*_001.ts")
    secret = segment.rename(tmp_path / "secret.ts")
    playlist = directory / "low" / "playlist.m3u8"
    playlist.write_text(playlist.read_text().replace(segment.name, uri.format(secret=secret)))
    samples, _ = play(directory, ffmpeg, children)
    assert samples[1] < SAMPLES - 431 * 1024


@pytest.mark.parametrize("uri", ["https://127.0.0.1:9/x.ts", "file:///etc/hostname.ts"])
def test_a_playlist_uses_no_other_protocol(
    ladders: Ladders, ffmpeg: Ffmpeg, children: ChildProcesses, uri: str
) -> None:
    directory = ladders("mpegts")
    [segment] = directory.glob("low/segment_*_001.ts")
    playlist = directory / "low" / "playlist.m3u8"
    playlist.write_text(playlist.read_text().replace(segment.name, uri))
    with serve_directory(directory) as serving:
        arguments = (*loopback_input_arguments(serving.port, "low/playlist.m3u8"), "-f", "null", "-")
        finished = ffmpeg.run(arguments, children=children, timeout_seconds=30, check=False)
    assert f"Protocol '{uri.partition(':')[0]}' not on whitelist 'http,tcp'" in finished.stderr


def test_http_is_not_for_what_is_no_playlist(ladders: Ladders, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
    directory = ladders("mpegts")
    (directory / "playlist.m3u8").write_text("ffconcat version 1.0\nfile low/playlist.m3u8\n")
    with serve_directory(directory) as serving:
        arguments = (*loopback_input_arguments(serving.port, "playlist.m3u8"), "-f", "null", "-")
        with pytest.raises(EncodingError, match="not on whitelist"):
            ffmpeg.run(arguments, children=children, timeout_seconds=30)


def test_playing_ends_with_the_run(ladders: Ladders, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
    children.kill_all()
    with pytest.raises(CancelledError):
        play(ladders("mpegts"), ffmpeg, children)
