"""Makes the ladder of one track out of its encodes: segments, media playlists, master playlist, in the given layout."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.errors import EncodingError
from audio_compressor.hls.aac import AAC_LC, FRAME_SAMPLES
from audio_compressor.hls.bandwidth import Measured, average_bits_per_second, peak_bits_per_second
from audio_compressor.hls.layout import (
    MASTER_ORDER,
    PLAYLIST_NAME,
    RENDITIONS,
    Kind,
    RenditionName,
    SegmentType,
    generation_of,
    init_name,
    media_playlist_path,
    segment_name,
)
from audio_compressor.hls.mp4 import M4a, read_m4a
from audio_compressor.hls.pieces import Pieces, cut_pieces
from audio_compressor.hls.plan import SegmentPlan, plan_segments
from audio_compressor.hls.playlists import MediaSegment, Variant, write_master_playlist, write_media_playlist
from audio_compressor.local_files import local_errors, sha256_of
from audio_compressor.processes import ChildProcesses


@dataclass(frozen=True)
class LadderFile:
    """``name`` is relative to the ladder's directory, with slashes."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Rendition:
    """One variant as the master playlist tells of it; the rates are measured, in bits per second."""

    name: RenditionName
    codec: str
    bandwidth: int
    average_bandwidth: int
    size_bytes: int


@dataclass(frozen=True)
class Ladder:
    """What was made in ``directory``. ``files`` are in an order in which they can be published: nothing comes before
    what it names. An earlier ladder's segments in the directory are not among them."""

    directory: Path
    generation: str
    segment_type: SegmentType
    target_duration_seconds: int
    segment_durations_seconds: tuple[float, ...]
    renditions: tuple[Rendition, ...]
    files: tuple[LadderFile, ...]


def cut_ladder(
    encodes: Mapping[RenditionName, Path],
    directory: Path,
    *,
    segment_duration_seconds: float,
    segment_type: SegmentType,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float,
) -> Ladder:
    """Make a ladder of three M4A files below ``directory``, which must exist.

    The same encodes and the same FFmpeg give the same bytes and names.

    Raises:
        NotAudioError: an encode is no M4A with AAC in it.
        EncodingError: the encodes do not belong together, or FFmpeg failed.
        OutOfSpaceError, AccessDeniedError, StorageError: ``directory`` cannot be written to.
        CancelledError: the children are being killed.
    """
    encodes = {name: encodes[name] for name in RENDITIONS}
    found = {name: read_m4a(path) for name, path in encodes.items()}
    plan = _plan(found, segment_duration_seconds, segment_type)
    with local_errors(directory), tempfile.TemporaryDirectory(dir=directory, prefix=".cut-") as scratch:
        pieces = cut_pieces(
            encodes,
            Path(scratch),
            plan,
            segment_type,
            ffmpeg=ffmpeg,
            children=children,
            timeout_seconds=timeout_seconds,
        )
        generation = _generation(pieces)
        sizes = {name: _place(pieces[name], directory / name, generation, segment_type) for name in RENDITIONS}
        renditions = tuple(_rendition(name, found[name], plan, sizes[name]) for name in RENDITIONS)
        _write_playlists(directory, renditions, plan, generation, segment_type)
    return Ladder(
        directory=directory,
        generation=generation,
        segment_type=segment_type,
        target_duration_seconds=plan.target_duration_seconds,
        segment_durations_seconds=tuple(each / 1e6 for each in plan.durations_microseconds),
        renditions=renditions,
        files=_files(len(plan.frames), generation, segment_type),
    )


def _plan(
    found: Mapping[RenditionName, M4a], segment_duration_seconds: float, segment_type: SegmentType
) -> SegmentPlan:
    for name, each in found.items():
        if each.stream.object_type != AAC_LC:
            raise EncodingError(f"the encode {name} is {each.stream.codec} and not AAC-LC (mp4a.40.2); encode it again")
    if len(set(found.values())) > 1:
        told = "; ".join(
            f"{name}: {each.frames} frames ({each.samples} samples), {each.stream.sample_rate_hz} Hz, "
            f"{each.stream.channels} channel(s)"
            for name, each in found.items()
        )
        raise EncodingError(f"the encodes do not line up ({told}); encode all of them again, of one source")
    first = found["high"]
    last_frame_samples = first.samples - (first.frames - 1) * FRAME_SAMPLES
    if not 0 < last_frame_samples <= FRAME_SAMPLES:
        raise EncodingError(
            f"the encodes' {first.frames} frames do not last {FRAME_SAMPLES} samples; encode them again"
        )
    return plan_segments(
        first.frames,
        first.stream.sample_rate_hz,
        segment_duration_seconds,
        frame_samples=FRAME_SAMPLES,
        # A transport stream cannot say that its last frame is cut short; MP4 does.
        last_frame_samples=last_frame_samples if segment_type == "fmp4" else FRAME_SAMPLES,
    )


def _generation(pieces: Mapping[RenditionName, Pieces]) -> str:
    whole = hashlib.sha256()
    for each in pieces.values():
        for path in (*each.segments, *([each.init] if each.init else [])):
            whole.update(bytes.fromhex(sha256_of(path)))
    return generation_of(whole.hexdigest())


def _place(pieces: Pieces, directory: Path, generation: str, segment_type: SegmentType) -> tuple[int, ...]:
    """Give the segments their names; returns their sizes."""
    directory.mkdir(exist_ok=True)
    if pieces.init is not None:
        pieces.init.rename(directory / init_name(generation))
    return tuple(
        path.rename(directory / segment_name(generation, number, segment_type)).stat().st_size
        for number, path in enumerate(pieces.segments)
    )


def _rendition(name: RenditionName, encode: M4a, plan: SegmentPlan, sizes_bytes: Sequence[int]) -> Rendition:
    measured = [Measured(*each) for each in zip(sizes_bytes, plan.durations_microseconds, strict=True)]
    return Rendition(
        name=name,
        codec=encode.stream.codec,
        bandwidth=peak_bits_per_second(measured, plan.target_duration_seconds),
        average_bandwidth=average_bits_per_second(measured),
        size_bytes=sum(sizes_bytes),
    )


def _write_playlists(
    directory: Path, renditions: Sequence[Rendition], plan: SegmentPlan, generation: str, segment_type: SegmentType
) -> None:
    segments = [
        MediaSegment(segment_name(generation, number, segment_type), duration)
        for number, duration in enumerate(plan.durations_microseconds)
    ]
    map_uri = init_name(generation) if segment_type == "fmp4" else None
    media = write_media_playlist(segments, plan.target_duration_seconds, map_uri)
    for rendition in renditions:
        (directory / media_playlist_path(rendition.name)).write_text(media, encoding="utf-8")
    of = {rendition.name: rendition for rendition in renditions}
    variants = [
        Variant(media_playlist_path(name), of[name].bandwidth, of[name].average_bandwidth, of[name].codec)
        for name in MASTER_ORDER
    ]
    master = write_master_playlist(variants, with_maps=map_uri is not None)
    (directory / PLAYLIST_NAME).write_text(master, encoding="utf-8")


def _files(segments: int, generation: str, segment_type: SegmentType) -> tuple[LadderFile, ...]:
    files: list[LadderFile] = []
    for name in RENDITIONS:
        if segment_type == "fmp4":
            files.append(LadderFile(f"{name}/{init_name(generation)}", "init"))
        names = (segment_name(generation, number, segment_type) for number in range(segments))
        files += [LadderFile(f"{name}/{each}", "segment") for each in names]
    files += [LadderFile(media_playlist_path(name), "media_playlist") for name in RENDITIONS]
    return (*files, LadderFile(PLAYLIST_NAME, "master_playlist"))
