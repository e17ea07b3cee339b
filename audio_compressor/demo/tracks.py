"""Sample tracks for the demo: a quiet chord with tags and a cover, drums with high peaks, and a voice from one side."""

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.demo.recordings import CLIPS
from audio_compressor.errors import EncodingError
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.tracks.layout import DOCUMENTED
from audio_compressor.tracks.track import METADATA_NAME

SAMPLE_TRACKS = ("harbour-lights.flac", "drum-circle.mp3", "town-crier.wav")

_RATE_HZ = 44_100
_SECONDS = 24
_COVER_PIXELS = 300

Samples = npt.NDArray[np.float32]


def create_tracks(directory: Path, ffmpeg: Path) -> None:
    """Make those that are not there yet.

    Raises:
        EncodingError: FFmpeg failed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lights, drums, crier = (directory / name for name in SAMPLE_TRACKS)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".") as work:
        if not lights.exists():
            cover = Path(work, "cover.png")
            _cover().save(cover)
            _encode(
                ffmpeg,
                (*_raw(_chords(), Path(work, "chords")), "-i", str(cover), "-map", "0", "-map", "1"),
                ("-disposition:v", "attached_pic", "-metadata", "title=Harbour Lights", "-metadata", "artist=Demo"),
                lights,
            )
        if not drums.exists():
            tags = ("-b:a", "192k", "-metadata", "title=Drum Circle", "-metadata", "artist=Demo")
            _encode(ffmpeg, _raw(_drums(), Path(work, "drums")), tags, drums)
        if not crier.exists():
            _encode(ffmpeg, ("-i", str(CLIPS / "ben-1.opus")), ("-ac", "1", "-ar", "48000"), crier)


def upload(directory: Path, names: Iterable[str], bucket: str, endpoint_url: str, catalog_url: str) -> None:
    """Put tracks into the bucket, which is made where it is missing, and a row for each into the table of uploads, as
    an application does that people upload to.
    """
    import boto3
    from sqlalchemy import create_engine, text

    client = boto3.client("s3", endpoint_url=endpoint_url)
    client.create_bucket(Bucket=bucket)
    with open_catalog(catalog_url):
        pass  # the table is there now
    engine = create_engine(catalog_url)
    row = text(
        "INSERT INTO Uploads (upload_id, file_name, upload_type, processing_status, uploaded_at) "
        "VALUES (:upload_id, :file_name, 'track', '0', CURRENT_TIMESTAMP)"
    )
    for name in names:
        client.upload_file(str(directory / name), bucket, f"tracks/{name}")
        with engine.begin() as connection:
            connection.execute(row, {"upload_id": str(uuid.uuid4()), "file_name": name})
    engine.dispose()
    client.close()


def fetch_published(directory: Path, bucket: str, endpoint_url: str) -> list[str]:
    """Copy everything below the processed prefix to ``directory``; the keys of the tracks."""
    import boto3

    shutil.rmtree(directory, ignore_errors=True)
    client = boto3.client("s3", endpoint_url=endpoint_url)
    tracks = set()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=DOCUMENTED.processed):
        for item in page.get("Contents", []):
            name = item["Key"].removeprefix(DOCUMENTED.processed)
            tracks.add(name.partition("/")[0])
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, item["Key"], str(path))
    client.close()
    return sorted(tracks)


def write_player(directory: Path, tracks: Iterable[str]) -> None:
    """A page that plays them, beside their folders."""
    directory.mkdir(parents=True, exist_ok=True)
    entries = []
    for key in tracks:
        details = json.loads((directory / key / METADATA_NAME).read_text())["details"]
        loudness = details["loudness"]
        before, after = loudness["before"]["integrated_lufs"], loudness["after"]["high"]["integrated_lufs"]
        text = f"{before:.1f} LUFS uploaded, {after:.1f} LUFS now: {loudness['reason']}"
        entries.append({"key": key, "playlist": f"{quote(key)}/{PLAYLIST_NAME}", "text": text})
    (directory / "tracks.json").write_text(json.dumps(entries))
    shutil.copyfile(Path(__file__).with_name("player.html"), directory / "index.html")


def _chords() -> Samples:
    """Three chords, very softly."""
    seconds = np.arange(_SECONDS * _RATE_HZ) / _RATE_HZ
    sound = np.zeros((len(seconds), 2))
    for number, chord in enumerate(((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6)) * 2):
        swell = np.clip(np.sin(np.pi * (seconds / 4 - number)), 0, None) * (seconds // 4 == number)
        for voice, frequency_hz in enumerate(chord):
            tone = sum(np.sin(2 * np.pi * frequency_hz * part * seconds) / part**2 for part in range(1, 6))
            sound[:, voice % 2] += 0.6 * swell * tone
            sound[:, (voice + 1) % 2] += 0.4 * swell * tone
    return np.asarray(0.05 * sound, np.float32)


def _drums() -> Samples:
    """Hits and the silence between them: peaks that stand high above their loudness."""
    random = np.random.default_rng(7)
    sound = np.zeros((_SECONDS * _RATE_HZ, 2))
    fall = np.exp(-np.arange(_RATE_HZ // 3) / (_RATE_HZ * 0.08))
    for beat in range(_SECONDS * 4):
        start = round((beat + 0.05 * random.standard_normal()) * _RATE_HZ / 4) if beat else 0
        hit = (0.5 * random.standard_normal(len(fall)) + 2 * np.sin(np.arange(len(fall)) * 0.02)) * fall
        side = 0.3 + 0.4 * random.random()
        room = sound[max(start, 0) : max(start, 0) + len(hit)]
        room += hit[: len(room), None] * [side, 1 - side]
    return np.asarray(0.9 * sound / np.abs(sound).max(), np.float32)


def _cover() -> Image.Image:
    image = Image.new("RGB", (_COVER_PIXELS, _COVER_PIXELS), (18, 32, 58))
    draw = ImageDraw.Draw(image)
    for number in range(12):
        left = 12 + number * 24
        draw.rectangle((left, 180 - 9 * (number % 4), left + 10, 200), fill=(250, 200 - 8 * number, 90))
    return image


def _raw(samples: Samples, path: Path) -> tuple[str, ...]:
    path.write_bytes(samples.astype("<f4").tobytes())
    return ("-f", "f32le", "-ar", str(_RATE_HZ), "-ac", "2", "-i", str(path))


def _encode(ffmpeg: Path, inputs: tuple[str, ...], options: tuple[str, ...], destination: Path) -> None:
    new = destination.with_name(f".{destination.name}")
    command = [str(ffmpeg), "-nostdin", "-v", "error", "-y", *inputs, *options, "-f", destination.suffix[1:], str(new)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EncodingError(f"FFmpeg could not make the sample track {destination.name}: {done.stderr.strip()}")
    new.rename(destination)
