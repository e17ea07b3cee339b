"""Files that try to do harm through FFmpeg: each fails alone, soon, and without another file, the network, the memory
or the disk. Controls show that the bait works where nothing protects."""

import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audio_compressor.audio.compress import Compression, compress
from audio_compressor.audio.encode import most_output_bytes
from audio_compressor.audio.ffmpeg import Ffmpeg, input_arguments
from audio_compressor.audio.profiles import Profile
from audio_compressor.errors import AudioError, EncodingError, NotAudioError
from audio_compressor.processes import ChildProcesses, Limits
from audio_compressor_tests.audio import hostile_files as hostile
from audio_compressor_tests.audio.hostile_files import FFMPEG, made, patched
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.wav_files import speech, write_wav

DEFAULT = Profile("wav", 16000, 1, 32)
SECONDS = 30  # of a busy machine; each takes less than one on an idle one
SMALL = 1_000_000


class Victim:
    """A directory with a file that nobody may read, and what happens to an upload beside it."""

    def __init__(self, path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self.path, self._ffmpeg, self._children = path, ffmpeg, children
        self.secret = write_wav(path / "secret.wav", speech(3.0))
        self.upload = path / "upload" / "StereoMix.wav"
        self.upload.parent.mkdir()

    def compress(self, content: bytes, profile: Profile = DEFAULT) -> Compression:
        self.upload.write_bytes(content)
        destination = self.path / f"out.{profile.extension}"
        before, started = names_in(self.upload.parent), time.monotonic()
        try:
            return compress(self.upload, destination, profile, ffmpeg=self._ffmpeg, children=self._children)
        finally:
            assert time.monotonic() - started < SECONDS
            assert names_in(self.upload.parent) == before

    def refuse(self, content: bytes, profile: Profile = DEFAULT) -> str:
        with pytest.raises((NotAudioError, EncodingError)) as caught:
            self.compress(content, profile)
        assert not (self.path / f"out.{profile.extension}").exists()
        return str(caught.value)


@pytest.fixture
def victim(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Victim:
    return Victim(tmp_path, ffmpeg, children)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


def decodes_unprotected(path: Path, *options: str) -> bool:
    done = subprocess.run(
        [FFMPEG, "-nostdin", "-v", "info", *options, "-i", str(path), "-f", "null", "-"],
        capture_output=True,
        timeout=60,
    )
    return b"time=00:00:0" in done.stderr


REFERENCES: dict[str, Callable[[str], bytes]] = {
    "hls": hostile.hls_playlist,
    "dash": hostile.dash_manifest,
    "concat": hostile.concat_script,
    "svg": hostile.picture,
    "ass": hostile.subtitles,
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize(
    "how", ["{}", "file:{}", "../secret.wav", "subfile,,start,0,end,0,,:{}", "data:audio/wav;base64,UklGRg=="]
)
def test_no_other_file_is_read(victim: Victim, kind: str, how: str) -> None:
    assert "holds no sound" in victim.refuse(REFERENCES[kind](how.format(victim.secret)))


def test_no_file_beside_it_is_read(victim: Victim) -> None:
    """Which FFmpeg alone holds to be safe: the name is relative, and the protocol is ``file``."""
    write_wav(victim.upload.with_name("beside.wav"), speech(3.0))
    victim.refuse(hostile.concat_script("beside.wav"))
    assert decodes_unprotected(victim.upload, "-protocol_whitelist", "file,pipe"), "the bait does not work"


@pytest.mark.parametrize("kind", REFERENCES)
def test_no_connection_is_made(victim: Victim, kind: str, listener: socket.socket) -> None:
    for protocol in ("http", "https", "tcp", "ftp", "rtmp"):
        victim.refuse(REFERENCES[kind](f"{protocol}://127.0.0.1:{listener.getsockname()[1]}/a.wav"))
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_the_bait_works_where_nothing_protects(victim: Victim, listener: socket.socket) -> None:
    """Or the tests above would prove nothing."""
    open_to_all = ("-protocol_whitelist", "file,http,tcp,data", "-allowed_extensions", "ALL")
    victim.upload.write_bytes(hostile.concat_script(str(victim.secret)))
    assert decodes_unprotected(victim.upload, "-safe", "0")
    playlist = victim.upload.with_suffix(".m3u8")
    playlist.write_bytes(hostile.hls_playlist(str(victim.secret)))
    assert decodes_unprotected(playlist, *open_to_all, "-extension_picky", "0")
    listener.settimeout(30)
    playlist.write_bytes(hostile.hls_playlist(f"http://127.0.0.1:{listener.getsockname()[1]}/a.wav"))
    with subprocess.Popen(
        [FFMPEG, "-nostdin", *open_to_all, "-extension_picky", "0", "-i", str(playlist), "-f", "null", "-"],
        stderr=subprocess.DEVNULL,
    ) as asking:
        listener.accept()[0].close()
        asking.kill()


def test_a_session_description_opens_no_port(victim: Victim) -> None:
    assert "holds no sound" in victim.refuse(hostile.session_description(5004))


def test_a_movie_about_another_file_is_not_followed(victim: Victim) -> None:
    beside = write_wav(victim.upload.with_name("beside.wav"), speech(3.0))
    victim.refuse(hostile.movie_elsewhere(victim.path / "movie.mov", beside))
    assert decodes_unprotected(victim.upload, "-enable_drefs", "1"), "the bait does not work"


def test_attachments_and_links_of_matroska_change_nothing(victim: Victim) -> None:
    def matroska(*options: str) -> bytes:
        return made(
            victim.path / "made.mka", *options, "-metadata", f"title={'x' * 60}", "-write_crc32", "0", "-c:a", "flac"
        )

    plain = matroska()
    attached = matroska("-attach", str(victim.secret), "-metadata:s:t", "mimetype=audio/wav")
    assert len(attached) > len(plain) + victim.secret.stat().st_size
    # In place of the title: this segment goes on in another one (RFC 9559, section 5.1.2), NextUID and NextFilename.
    title = b"\x7b\xa9\xbc" + b"x" * 60
    name = b"../secret.wav"
    link = b"\x3e\xb9\x23\x90" + bytes(range(16)) + b"\x3e\x83\xbb" + bytes([0x80 | len(name)]) + name
    assert title in plain
    linked = plain.replace(
        title, link + b"\xec" + bytes([0x80 | (len(title) - len(link) - 2)]) + bytes(len(title) - len(link) - 2)
    )
    assert len(linked) == len(plain)
    durations = {victim.compress(content).duration_seconds for content in (plain, attached, linked)}
    assert durations == {1.0}


# -- sizes, rates and counts that are not true


@pytest.mark.parametrize(
    ("container", "options", "find", "offset", "lie"),
    [
        ("w64", (), b"fmt ", 26, struct.pack("<HI", 65535, 0xFFFFFFFF)),
        ("aiff", (), b"COMM", 8, struct.pack(">HI", 65535, 0xFFFFFFFF)),
        ("aiff", (), b"COMM", 16, b"\x43\xff" + b"\xff" * 8),
        ("caf", ("-c:a", "pcm_s16be"), b"desc", 36, struct.pack(">I", 0xFFFFFFFF)),
        ("au", (), b".snd", 16, struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF)),
    ],
)
def test_headers_that_claim_too_much(
    victim: Victim, container: str, options: tuple[str, ...], find: bytes, offset: int, lie: bytes
) -> None:
    victim.refuse(patched(made(victim.path / f"true.{container}", *options), find, offset, lie))


@pytest.mark.parametrize(
    "claim",
    [
        hostile.wav_claiming(channels=65535),
        hostile.wav_claiming(channels=256),
        hostile.wav_claiming(sample_rate_hz=0xFFFFFFFF),
        hostile.wav_claiming(sample_rate_hz=0x7FFFFFFF),
        hostile.wav_claiming(bits=65535),
    ],
)
def test_wav_headers_that_claim_too_much(victim: Victim, claim: bytes) -> None:
    victim.refuse(claim)


@pytest.mark.parametrize("declared", [0xFFFFFFF0, 0x7FFFFFFF, 102_401])
def test_a_size_that_is_not_there_is_not_waited_for(victim: Victim, declared: int) -> None:
    assert victim.compress(hostile.wav_claiming(declared=declared)).duration_seconds == pytest.approx(0.58, abs=0.01)


@pytest.mark.parametrize("samples", [10**6, 10**8, 2**31, 2**32 - 1])
def test_tables_of_more_packets_than_a_file_can_hold(victim: Victim, samples: int) -> None:
    victim.refuse(hostile.movie_with_samples(victim.path / "true.m4a", samples))


def test_a_rate_beyond_all_numbers(victim: Victim) -> None:
    """FFmpeg would ask for 4 GB for one second of this."""
    content = patched(made(victim.path / "true.caf", "-c:a", "pcm_s16be"), b"desc", 12, struct.pack(">d", 1e300))
    assert "samples a second; recorders write between 2,000 and 1,000,000" in victim.refuse(content)


def test_memory_beyond_all_proportion_is_refused_by_the_kernel(
    victim: Victim, ffmpeg: Ffmpeg, children: ChildProcesses
) -> None:
    two_gigabytes = f"asetnsamples=n={500_000_000}:p=1"
    arguments = (*input_arguments(victim.secret), "-af", two_gigabytes, "-f", "null", "-")
    with pytest.raises(EncodingError, match=r"stopped at its memory limit of [\d,]+ MB") as caught:
        ffmpeg.run(arguments, children=children, timeout_seconds=60)
    assert "Check where it comes from, and record or export it again" in str(caught.value)


def test_days_of_silence_in_a_small_file_do_not_fill_the_disk(victim: Victim) -> None:
    bomb = hostile.flac_of_silence(16_000)
    assert len(bomb) < SMALL / 4
    said = victim.refuse(bomb, Profile("wav", 8000, 1, 32))
    assert "MB of output: the file claims to hold more sound than one of its size can" in said


def test_what_a_good_recording_may_become(victim: Victim) -> None:
    day = 24 * 3600
    opus = 6_000 / 8  # bytes for each second of the least that people call speech
    for profile in (DEFAULT, Profile("flac", 48000, 2, 32), Profile("mp3", 48000, 2, 32)):
        seconds = day
        needed = seconds * (
            profile.bitrate_kbps * 125 if profile.honours_bitrate else profile.sample_rate_hz * 2 * profile.channels
        )
        assert most_output_bytes(round(seconds * opus), profile) > needed


# -- streams that change


@pytest.mark.parametrize("codec", ["libopus", "libvorbis"])
def test_a_chain_of_recordings_is_read_to_its_end_or_refused(victim: Victim, codec: str) -> None:
    """FFmpeg reads a chain (RFC 3533, section 4) in which the number of channels changes to the first change, and
    ends with 0."""
    two = made(victim.path / "two.ogg", "-c:a", codec)
    one = made(victim.path / "one.ogg", "-c:a", codec, "-ac", "1")
    assert victim.compress(two + two).duration_seconds == pytest.approx(2.0, abs=0.06)
    for chain in (two + one, one + two):
        assert "several recordings in a row" in victim.refuse(chain)


# -- the limits themselves


def test_the_limits_are_the_kernels(tmp_path: Path) -> None:
    script = (
        "import resource as r, time; time.sleep(0.5); "
        "print(*(r.getrlimit(kind) for kind in (r.RLIMIT_DATA, r.RLIMIT_FSIZE, r.RLIMIT_CORE)))"
    )
    limits = Limits(memory_bytes=300_000_000, file_bytes=1_000)
    finished = ChildProcesses().run([sys.executable, "-c", script], timeout_seconds=60, limits=limits)
    assert finished.stdout.decode().strip() == "(300000000, 300000000) (1000, 1000) (0, 0)"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY, "ours, not the child's"


def test_a_file_that_grows_too_large_ends_the_child(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
    source = write_wav(tmp_path / "in.wav", speech(1.0))
    with pytest.raises(EncodingError, match=r"stopped at 0 MB of output: the file claims to hold more sound"):
        ffmpeg.run(
            (*input_arguments(source), f"file:{tmp_path}/out.wav"),
            children=children,
            timeout_seconds=60,
            most_output_bytes=10_000,
        )
    assert (tmp_path / "out.wav").stat().st_size <= 10_000


def test_an_error_is_of_that_recording(victim: Victim) -> None:
    victim.refuse(hostile.wav_claiming(channels=65535))
    assert victim.compress(victim.secret.read_bytes()).duration_seconds == 3.0
    assert issubclass(EncodingError, AudioError)
