"""Small copies of what browsers and their crashes leave: made, packed anew, or refused with the reason."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audio_compressor.audio.archiving import Contents, Made, inspect, is_remuxed, make_opus, why_not_archived
from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.audio.proof import prove
from audio_compressor.errors import EncodingError, FfmpegMissingError, NotAudioError, StorageError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.measuring import answering_script
from audio_compressor_tests.wav_files import Sound, silence, speech, write_wav
from audio_compressor_tests.webm_files import (
    FFMPEG,
    RECORDED_AT,
    SAMPLE_RATE_HZ,
    as_a_browser_writes,
    cut_between_frames,
    cut_inside_a_frame,
    encode,
    make_webm,
    packets_hash,
    side_by_side,
    voice,
)

SECONDS = 3
TALK: Sound = voice("anna-1")[: SECONDS * SAMPLE_RATE_HZ]
Look = Callable[[Path], Contents]


@pytest.fixture
def look(ffmpeg: Ffmpeg, children: ChildProcesses) -> Look:
    return lambda path: inspect(path, ffmpeg=ffmpeg, children=children, timeout_seconds=30)


@pytest.fixture
def copy(look: Look, ffmpeg: Ffmpeg, children: ChildProcesses) -> Callable[..., Made]:
    def make(source: Path, destination: Path, bitrate_kbps: float, *, drop_video: bool = False) -> Made:
        return make_opus(
            source,
            destination,
            bitrate_kbps,
            look(source),
            ffmpeg=ffmpeg,
            children=children,
            timeout_seconds=30,
            drop_video=drop_video,
        )

    return make


def whole(path: Path) -> Path:
    return make_webm(path, TALK)


def streamed(path: Path) -> Path:
    return as_a_browser_writes(make_webm(path, TALK))


def streamed_without_delay(path: Path) -> Path:
    return as_a_browser_writes(make_webm(path, TALK), keep_codec_delay=False)


def crashed_between_frames(path: Path) -> Path:
    return cut_between_frames(as_a_browser_writes(make_webm(path, TALK)), keep=0.7)


def vorbis(path: Path) -> Path:
    return as_a_browser_writes(make_webm(path, TALK, codec="vorbis"))


@pytest.mark.parametrize(
    ("make", "codec", "seconds"),
    [
        (whole, "opus", 3.0),
        (streamed, "opus", 3.0),
        (streamed_without_delay, "opus", 3.0),
        (vorbis, "vorbis", 3.0),
        (crashed_between_frames, "opus", 2.15),
    ],
)
def test_what_a_browser_writes_is_measured_copied_and_proved(
    make: Callable[[Path], Path],
    codec: str,
    seconds: float,
    look: Look,
    copy: Callable[..., Made],
    tmp_path: Path,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
) -> None:
    source, destination = make(tmp_path / "a.webm"), tmp_path / ".a.opus.part"
    contents = look(source)
    assert why_not_archived(contents) is None
    assert (contents.codec, contents.tracks[0].channels, contents.tracks[0].sample_rate_hz) == (codec, 1, 48000)
    assert contents.duration_seconds == pytest.approx(seconds, abs=0.05)
    assert not contents.others
    made = copy(source, destination, 48)
    assert not made.was_remuxed
    assert made.size_bytes == destination.stat().st_size < source.stat().st_size
    proof = prove(source, destination, ffmpeg=ffmpeg, children=children, timeout_seconds=30)
    assert (proof.codec, proof.channels) == ("opus", 1)
    assert proof.duration_seconds == pytest.approx(contents.duration_seconds, abs=0.001)
    assert look(destination).bitrate_kbps == pytest.approx(48, rel=0.08)


def test_a_file_without_a_duration_says_none(tmp_path: Path) -> None:
    """The helper makes what it says, or the tests above would prove little."""
    listing = subprocess.run([FFMPEG, "-hide_banner", "-i", streamed(tmp_path / "a.webm")], capture_output=True)
    assert b"Duration: N/A" in listing.stderr
    assert bytes.fromhex("1c53bb6b") not in (tmp_path / "a.webm").read_bytes()  # no cues


def test_opus_under_the_target_is_packed_anew_packet_by_packet(
    copy: Callable[..., Made], tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses
) -> None:
    for make in (whole, streamed, streamed_without_delay, crashed_between_frames):
        source, destination = make(tmp_path / "a.webm"), tmp_path / "a.part"
        assert copy(source, destination, 160).was_remuxed
        assert packets_hash(destination) == packets_hash(source)
        assert destination.read_bytes()[:4] == b"OggS"
        proof = prove(source, destination, ffmpeg=ffmpeg, children=children, timeout_seconds=30)
        assert proof.worst_window_db < 0.1
        assert abs(proof.copy_samples - proof.source_samples) < 48  # 1 ms, to which WebM rounds times


def test_the_bitrate_is_that_of_the_packets_of_sound(look: Look, tmp_path: Path) -> None:
    alone = look(make_webm(tmp_path / "a.webm", TALK, bitrate_kbps=64))
    beside = look(make_webm(tmp_path / "b.webm", TALK, bitrate_kbps=64, with_video=True))
    assert beside.bitrate_kbps == pytest.approx(alone.bitrate_kbps)
    assert (tmp_path / "b.webm").stat().st_size > 1.1 * (tmp_path / "a.webm").stat().st_size
    argv = [FFMPEG, "-v", "error", "-i", tmp_path / "a.webm", "-map", "0:a", "-c", "copy", "-f", "data", "-"]
    packets = subprocess.run(argv, capture_output=True, check=True).stdout
    assert alone.audio_bytes == len(packets)
    assert alone.bitrate_kbps == pytest.approx(len(packets) * 8 / 1000 / SECONDS)


@pytest.mark.parametrize(
    ("codec", "kbps", "remuxed"), [("opus", 67.1, True), ("opus", 67.3, False), ("vorbis", 9, False)]
)
def test_five_percent_over_the_target_are_no_reason_to_encode(codec: str, kbps: float, remuxed: bool) -> None:
    from audio_compressor.audio.archiving import AudioTrack

    contents = Contents((AudioTrack(0, codec, 48000, 1),), (), 8.0, round(kbps * 1000), ())
    assert is_remuxed(contents, 64) == remuxed


def test_two_tracks_are_kept(look: Look, copy: Callable[..., Made], tmp_path: Path) -> None:
    source = make_webm(tmp_path / "a.webm", TALK, audio_tracks=2)
    contents = look(source)
    assert [track.index for track in contents.tracks] == [0, 1]
    assert why_not_archived(contents) == "it holds 2 audio tracks, of which Opus keeps one"
    with pytest.raises(EncodingError, match=r"a\.webm cannot be copied as Opus: it holds 2 audio tracks"):
        copy(source, tmp_path / "a.part", 64)
    assert not (tmp_path / "a.part").exists()


def test_video_is_lost_only_on_purpose(look: Look, copy: Callable[..., Made], tmp_path: Path) -> None:
    source = as_a_browser_writes(make_webm(tmp_path / "a.webm", TALK, with_video=True))
    contents = look(source)
    assert contents.has_video
    assert why_not_archived(contents) == "it holds video besides the sound, which Opus does not keep"
    assert why_not_archived(contents, drop_video=True) is None
    assert copy(source, tmp_path / "a.part", 160, drop_video=True).was_remuxed
    assert look(tmp_path / "a.part").others == ()


def test_video_alone_is_no_sound(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    argv = [FFMPEG, "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1", "-c:v", "libvpx", path]
    subprocess.run(argv, check=True)
    contents = look(path)
    assert contents.tracks == ()
    assert why_not_archived(contents, drop_video=True) == "it holds no sound"


def test_an_attached_file_is_kept_even_without_video(look: Look, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("who spoke when")
    attach = ("-attach", str(tmp_path / "notes.txt"), "-metadata:s:t", "mimetype=text/plain")
    source = encode(tmp_path / "a.mkv", TALK, "-c:a", "libopus", *attach)
    reason = why_not_archived(look(source), drop_video=True)
    assert reason == "it holds an attached file besides the sound, which Opus does not keep"


def test_more_than_two_channels_are_kept(look: Look, tmp_path: Path) -> None:
    source = make_webm(
        tmp_path / "a.webm", side_by_side(side_by_side(TALK, TALK), TALK), codec="vorbis", bitrate_kbps=200
    )
    assert why_not_archived(look(source)) == "it has 3 channels, and a copy of at most 2 can be proved"


@pytest.mark.parametrize("bitrate_kbps", [64, 96])
def test_the_target_bitrate_is_kept(bitrate_kbps: int, look: Look, copy: Callable[..., Made], tmp_path: Path) -> None:
    """Without the constraint, libopus takes a tenth more for this talk, and half more for a minute of it."""
    source = make_webm(tmp_path / "a.webm", voice("anna-1"), codec="vorbis")
    copy(source, tmp_path / "a.part", bitrate_kbps)
    assert look(tmp_path / "a.part").bitrate_kbps == pytest.approx(bitrate_kbps, rel=0.03)


def test_stereo_stays_stereo(look: Look, copy: Callable[..., Made], tmp_path: Path) -> None:
    source = make_webm(tmp_path / "a.webm", side_by_side(TALK, voice("ben-1")))
    copy(source, tmp_path / "a.part", 96)
    assert look(tmp_path / "a.part").tracks[0].channels == 2


def followed_by_another(path: Path) -> Path:
    path.write_bytes(whole(path).read_bytes() + streamed(path.with_name("b.webm")).read_bytes())
    return path


def followed_by_rubbish(path: Path) -> Path:
    path.write_bytes(whole(path).read_bytes() + bytes(5000))
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda path: cut_inside_a_frame(streamed(path)),
        lambda path: cut_inside_a_frame(whole(path)),
        followed_by_another,
        followed_by_rubbish,
    ],
    ids=["cut", "cut with cues", "two in a row", "rubbish behind"],
)
def test_a_damaged_file_is_kept(
    make: Callable[[Path], Path], look: Look, copy: Callable[..., Made], tmp_path: Path
) -> None:
    source = make(tmp_path / "a.webm")
    reason = why_not_archived(look(source)) or ""
    assert reason.startswith("it is damaged (")
    with pytest.raises(EncodingError, match="it is damaged"):
        copy(source, tmp_path / "a.part", 32)


@pytest.mark.parametrize("make", [whole, streamed])
def test_no_damage_makes_a_file_shorter_without_a_word(
    make: Callable[[Path], Path], look: Look, tmp_path: Path
) -> None:
    """FFmpeg alone ends early in some of these as if the file were over."""
    source = make(tmp_path / "a.webm")
    good, random = source.read_bytes(), np.random.default_rng(7)
    kept = 0
    for noise_bytes in (300, 10_000, 10_000, 10_000, 10_000, 10_000):
        start = int(random.integers(5000, len(good) - noise_bytes))
        source.write_bytes(good[:start] + random.bytes(noise_bytes) + good[start + noise_bytes :])
        contents = look(source)
        kept += why_not_archived(contents) is not None
        assert why_not_archived(contents) or contents.duration_seconds == pytest.approx(SECONDS, abs=0.01)
    assert kept >= 5


def test_recordings_of_several_rates_in_a_row_are_kept(look: Look, tmp_path: Path) -> None:
    """FFmpeg resamples the second to the rate of the first, and says so to nobody."""
    for rate in ("44100", "48000"):
        encode(
            tmp_path / f"{rate}.mp3", TALK, "-ar", rate, "-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"
        )
    both = tmp_path / "both.mp3"
    both.write_bytes((tmp_path / "44100.mp3").read_bytes() + (tmp_path / "48000.mp3").read_bytes())
    assert why_not_archived(look(tmp_path / "48000.mp3")) is None
    assert "Reconfiguring filter graph" in str(look(both).problems)


def test_a_wav_file_whose_header_is_wrong_is_kept(look: Look, tmp_path: Path) -> None:
    good = write_wav(tmp_path / "good.wav", speech(2.0))
    short = write_wav(tmp_path / "short.wav", speech(2.0), declared_data_bytes=1000)
    assert why_not_archived(look(good)) is None
    assert (why_not_archived(look(short)) or "").startswith("it is damaged (1 error")


def test_what_is_no_recording_is_said_to_be_none(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    for content in (b"", b"not a recording", bytes(100_000)):
        path.write_bytes(content)
        with pytest.raises(NotAudioError, match=r"a\.webm cannot be opened"):
            look(path)
    with pytest.raises(StorageError, match=r"none\.webm"):
        look(tmp_path / "none.webm")


def test_tags_are_kept(look: Look, copy: Callable[..., Made], tmp_path: Path) -> None:
    tags = ("title=Sitzung vom 17.",), ("language=deu", "speaker=Ben", "title=Mikrofon")
    options = [word for tag in tags[0] for word in ("-metadata", tag)]
    options += [word for tag in tags[1] for word in ("-metadata:s:a:0", tag)]
    source = make_webm(tmp_path / "a.webm", TALK, recorded_at=RECORDED_AT, options=options)
    for bitrate_kbps in (160, 32):
        copy(source, tmp_path / "a.part", bitrate_kbps)
        argv = [FFMPEG, "-hide_banner", "-i", tmp_path / "a.part"]
        listing = subprocess.run(argv, capture_output=True, text=True).stderr
        for shown in ("Sitzung vom 17.", "(deu)", ": Ben", "2025-10-17T09:30:00"):
            assert shown in listing
        assert "DURATION" not in listing
        assert "Mikrofon" not in listing  # Ogg has one title


def test_silence_is_copied(
    look: Look, copy: Callable[..., Made], tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses
) -> None:
    source = as_a_browser_writes(
        make_webm(tmp_path / "a.webm", silence(3.0, channels=2, sample_rate_hz=SAMPLE_RATE_HZ), codec="vorbis")
    )
    copy(source, tmp_path / "a.part", 64)
    assert prove(source, tmp_path / "a.part", ffmpeg=ffmpeg, children=children).share_within_tolerance == 1.0


def test_nothing_is_left_of_a_copy_that_failed(look: Look, children: ChildProcesses, tmp_path: Path) -> None:
    source, part = whole(tmp_path / "a.webm"), tmp_path / "a.part"
    contents = look(source)
    endings = {
        'eval "last=\\${$#}"; echo half > "${last#file:}"; exit 1': "ended with exit code 1",
        'eval "last=\\${$#}"; echo half > "${last#file:}"; echo "[error] odd" >&2; exit 0': "odd",
    }
    for number, (then, message) in enumerate(endings.items()):
        failing = find_ffmpeg(str(answering_script(tmp_path / f"ffmpeg{number}", then)))
        with pytest.raises(EncodingError, match=message):
            make_opus(source, part, 32, contents, ffmpeg=failing, children=children, timeout_seconds=30)
        assert not part.exists()


def test_an_ffmpeg_without_opus_is_no_verdict_on_the_file(look: Look, children: ChildProcesses, tmp_path: Path) -> None:
    source = whole(tmp_path / "a.webm")
    other = answering_script(tmp_path / "ffmpeg", "exit 1")
    other.write_text(other.read_text().replace('exec "$REAL" "$@"', '"$REAL" "$@" | grep -v "libopus Opus"; exit'))
    with pytest.raises(FfmpegMissingError, match="without the encoder libopus"):
        make_opus(source, tmp_path / "a.part", 32, look(source), ffmpeg=find_ffmpeg(str(other)), children=children)
