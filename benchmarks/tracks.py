"""A track's loudness and renditions, side by side with what one would run instead; and what the results are worth.

    python -m benchmarks.tracks [speed] [coders] [loudness] [--seconds 652] [--rounds 3] [--coder fast]

speed: one track by the document's way (loudnorm in one pass, then four encodes) and by ours, with the same FFmpeg,
bitrates and AAC coder, and beside them the three encodes without anything else; and the normalisation alone, by
ffmpeg-normalize and by ours. Ratios are those of the medians.
coders: what FFmpeg's AAC coders and their tools cost and give, by the noise-to-mask ratio (see noise_to_mask.py).
loudness: source, target and result of several sounds, by meters that are not ours: pyloudnorm, and scipy at 8 times
the rate.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pyloudnorm
from rich.console import Console
from rich.table import Table
from scipy import signal

from audio_compressor.audio.aac import write_excerpts
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.audio.k_weighting import block_energies
from audio_compressor.audio.ladder import LADDER, AacCoder, RenditionProfile
from audio_compressor.audio.limiter import LoudnessModel
from audio_compressor.audio.loudness import measure_loudness
from audio_compressor.audio.normalization import LoudnessTarget, PeakPolicy, plan_loudness
from audio_compressor.audio.renditions import make_renditions
from audio_compressor.audio.stereo import decode_to_stereo
from audio_compressor.audio.treatment import choose_treatment
from audio_compressor.processes import ChildProcesses
from benchmarks.music import RATE_HZ, Sound, write_long_track, write_sounds
from benchmarks.noise_to_mask import noise_to_mask

TARGET = LoudnessTarget()
FFMPEG = find_ffmpeg()
LOUDNORM = f"loudnorm=I={TARGET.integrated_lufs}:LRA={TARGET.range_lu}:TP={TARGET.true_peak_dbtp}"
# The document's ladder: each rendition at a rate of its own.
DOCUMENTS_LADDER = (("48k", "24000"), ("64k", "32000"), ("128k", "44100"))
TIMEOUT_SECONDS = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*PARTS, []], default=[*PARTS])
    parser.add_argument("--seconds", type=float, default=652.0, help="length of the track for speed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--coder", choices=get_args(AacCoder), action="append", help="for speed; both by default")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 118)
    console.print(f"{os.cpu_count()} cores, FFmpeg {FFMPEG.version}, load {os.getloadavg()[0]:.1f} before it began")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        for part in dict.fromkeys(arguments.what):
            for table in PARTS[part](Path(directory), arguments):
                console.print(table)


# -- speed


def _speed(directory: Path, arguments: argparse.Namespace) -> Iterator[Table]:
    track = directory / "track.wav"
    write_long_track(track, arguments.seconds)
    for coder in arguments.coder or get_args(AacCoder):
        contest: dict[str, Callable[[], None]] = {
            "the document's way": partial(_documents_way, track, directory, coder),
            "our encodes, alone": partial(_encodes, track, directory, coder),
            "make_renditions": partial(_ours, track, directory, coder),
        }
        title = f"{arguments.seconds:.0f} s of stereo to M4A and three renditions, AAC coder {coder}"
        yield _race(title, contest, arguments.rounds)
    if find_spec("ffmpeg_normalize") is None:
        print("ffmpeg-normalize is not installed and is left out", file=sys.stderr)
        return
    contest = {
        "ffmpeg-normalize": partial(_ffmpeg_normalize, track, directory / "normalized.wav"),
        "ours": partial(_normalize, track, directory),
    }
    yield _race(f"normalisation of {arguments.seconds:.0f} s alone", contest, arguments.rounds)
    yield _accuracy(directory / "normalized.wav", directory / "normalized.raw")


def _race(title: str, contest: Mapping[str, Callable[[], None]], rounds: int) -> Table:
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contest}
    for _ in range(rounds):
        for name, work in contest.items():
            before, started = os.times(), time.perf_counter()
            work()
            wall_seconds, after = time.perf_counter() - started, os.times()
            seconds[name].append((wall_seconds, sum(after[:4]) - sum(before[:4])))
    table = Table(title=f"{title}; medians of {rounds}", title_justify="left")
    for heading in ("", "wall s", "spread", "CPU s", "ours : it", "CPU ours : it"):
        table.add_column(heading, justify="right" if heading else "left")
    walls = {name: statistics.median(wall for wall, _ in rows) for name, rows in seconds.items()}
    cpus = {name: statistics.median(cpu for _, cpu in rows) for name, rows in seconds.items()}
    ours = list(contest)[-1]
    for name, rows in seconds.items():
        spread = f"{min(rows)[0]:.1f}–{max(rows)[0]:.1f}"
        ratios = (f"{walls[ours] / walls[name]:.3f}", f"{cpus[ours] / cpus[name]:.3f}")
        table.add_row(name, f"{walls[name]:.1f}", spread, f"{cpus[name]:.1f}", *ratios)
    return table


def _run(*arguments: str) -> None:
    subprocess.run([str(FFMPEG.binary), "-nostdin", "-v", "error", "-y", *arguments], check=True)


def _documents_way(track: Path, directory: Path, coder: AacCoder) -> None:
    """Normalised to a file at 44.1 kHz, and that encoded four times, one after the other."""
    normalized = str(directory / "document.wav")
    _run("-i", str(track), "-af", LOUDNORM, "-ar", "44100", normalized)
    aac = ("-c:a", "aac", "-aac_coder", coder, "-ac", "2")
    _run("-i", normalized, *aac, "-b:a", "128k", "-ar", "44100", "-movflags", "+faststart", str(directory / "d.m4a"))
    for bitrate, rate in DOCUMENTS_LADDER:
        segments = directory / f"document-{bitrate}"
        segments.mkdir(exist_ok=True)
        hls = ("-f", "hls", "-hls_time", "10", "-hls_playlist_type", "vod")
        names = ("-hls_segment_filename", str(segments / "segment_%03d.ts"), str(segments / "playlist.m3u8"))
        _run("-i", normalized, *aac, "-b:a", bitrate, "-ar", rate, *hls, *names)


def _encodes(track: Path, directory: Path, coder: AacCoder) -> None:
    """What none can go below who encodes the three renditions: nothing is measured or made louder."""

    def encode(profile: RenditionProfile) -> None:
        _run("-i", str(track), *profile.encoder_arguments(coder), str(directory / f"{profile.name}-alone.m4a"))

    with ThreadPoolExecutor(len(LADDER)) as threads:
        list(threads.map(encode, LADDER))


def _ours(track: Path, directory: Path, coder: AacCoder, policy: PeakPolicy = "limit") -> None:
    make_renditions(
        track,
        directory,
        name=track.name,
        target=TARGET,
        peak_policy=policy,
        coder=coder,
        ffmpeg=FFMPEG,
        children=ChildProcesses(),
    )


def _ffmpeg_normalize(track: Path, normalized: Path) -> None:
    """As its own manual has it: two passes, at the rate of the source."""
    levels = ("-t", str(TARGET.integrated_lufs), "-tp", str(TARGET.true_peak_dbtp), "-lrt", str(TARGET.range_lu))
    command = [sys.executable, "-m", "ffmpeg_normalize", str(track), *levels, "-ar", "44100", "-f", "-q"]
    environment = {**os.environ, "FFMPEG_PATH": str(FFMPEG.binary)}
    subprocess.run([*command, "-c:a", "pcm_f32le", "-o", str(normalized)], check=True, env=environment)


def _normalize(track: Path, directory: Path) -> None:
    """The passes of `make_renditions` up to the encodes, and then the samples instead of them."""
    children = ChildProcesses()
    sound = decode_to_stereo(
        track, directory / "sound.raw", ffmpeg=FFMPEG, children=children, timeout_seconds=TIMEOUT_SECONDS
    )
    with ThreadPoolExecutor(2) as threads:
        measuring = threads.submit(
            measure_loudness, sound, ffmpeg=FFMPEG, children=children, timeout_seconds=TIMEOUT_SECONDS
        )
        weighing = threads.submit(
            block_energies, sound, ffmpeg=FFMPEG, children=children, timeout_seconds=TIMEOUT_SECONDS
        )
    measured, energies = measuring.result(), weighing.result()
    plan = plan_loudness(measured.loudness, TARGET, "limit")
    model = LoudnessModel(energies) if plan.mode == "limit" else None
    # The renditions are measured and corrected after they are encoded; here, up to 0.2 dB come through the limiter.
    treatment = choose_treatment(measured, plan, model, TARGET.true_peak_dbtp - 0.3)
    write_excerpts(sound, directory / "normalized.raw", [(0, sound.frames)], treatment)


def _accuracy(theirs: Path, ours: Path) -> Table:
    table = Table(title="what came out, by pyloudnorm and scipy", title_justify="left")
    for heading in ("", "LUFS", "dBTP"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, sound in (("ffmpeg-normalize", _decode(theirs)), ("ours", _floats(ours.read_bytes()))):
        table.add_row(name, f"{_lufs(sound):.2f}", f"{_peak_dbtp(sound):.2f}")
    return table


# -- coders


def _coders(directory: Path, _: argparse.Namespace) -> Iterator[Table]:
    """At the loudness at which the product encodes, so that nothing but the encoder is heard."""
    tools = {"ours": ("-aac_is", "0", "-aac_pns", "0"), "FFmpeg's defaults": ()}
    table = Table(title="AAC coders; means over 8 sounds of 20 s", title_justify="left")
    for heading in ("kbit/s", "coder", "tools", "noise to mask dB", "heard %", "overshoot dB", "CPU s per minute"):
        table.add_column(heading, justify="right" if heading not in {"coder", "tools"} else "left")
    sounds = [_at_target(path, directory) for path in write_sounds(directory, 20.0).values()]
    for profile in LADDER:
        for coder in get_args(AacCoder):
            for name, options in tools.items():
                cutoff = ("-cutoff", str(profile.cutoff_hz)) if name == "ours" else ()
                aac = ("-c:a", "aac", "-aac_coder", coder, "-b:a", f"{profile.bitrate_kbps}k", *options, *cutoff)
                figures = _coder_figures(sounds, directory / "coded.m4a", aac)
                table.add_row(str(profile.bitrate_kbps), coder, name, *figures)
    yield table


def _at_target(path: Path, directory: Path) -> Path:
    sound = _decode(path)
    loud = directory / f"{path.stem}.raw"
    loud.write_bytes((sound * 10 ** ((TARGET.integrated_lufs - _lufs(sound)) / 20)).astype("<f4").tobytes())
    return loud


def _coder_figures(sounds: Sequence[Path], coded: Path, aac: Sequence[str]) -> tuple[str, ...]:
    ratios, shares, overshoots = [], [], []
    cpu_seconds, seconds = 0.0, 0.0
    for path in sounds:
        sound, before = _floats(path.read_bytes()), os.times()
        _run("-f", "f32le", "-ar", str(RATE_HZ), "-ac", "2", "-i", str(path), *aac, str(coded))
        after = os.times()
        cpu_seconds += after.children_user - before.children_user + after.children_system - before.children_system
        seconds += len(sound) / RATE_HZ
        decoded = _decode(coded)
        noise = noise_to_mask(sound, decoded)
        ratios.append(noise.ratio_db)
        shares.append(100 * noise.heard_share)
        overshoots.append(_peak_dbtp(decoded) - _peak_dbtp(sound))
    means = (statistics.mean(ratios), statistics.mean(shares), statistics.mean(overshoots), 60 * cpu_seconds / seconds)
    return tuple(f"{mean:.1f}" for mean in means)


# -- loudness


def _loudness(directory: Path, arguments: argparse.Namespace) -> Iterator[Table]:
    table = Table(title="loudness, by pyloudnorm and scipy", title_justify="left")
    for heading in ("source", "LUFS", "dBTP", "policy", "mode", "goal", "high", "med", "low", "highest dBTP", "again"):
        table.add_column(heading, justify="left" if heading in {"source", "policy", "mode"} else "right")
    coder = (arguments.coder or ["fast"])[0]
    for name, path in write_sounds(directory, 20.0).items():
        before = _decode(path)
        for policy in get_args(PeakPolicy):
            made = make_renditions(
                path,
                directory,
                name=name,
                target=TARGET,
                peak_policy=policy,
                coder=coder,
                ffmpeg=FFMPEG,
                children=ChildProcesses(),
            )
            after = {which: _decode(each.path) for which, each in made.renditions.items()}
            goal = "" if made.plan.goal_lufs is None else f"{made.plan.goal_lufs:.2f}"
            again = sum(len(each.corrections) for each in made.renditions.values())
            table.add_row(
                *(name, f"{_lufs(before):.2f}", f"{_peak_dbtp(before):.2f}", policy, made.plan.mode, goal),
                *(f"{_lufs(after[profile.name]):.2f}" for profile in LADDER),
                *(f"{max(map(_peak_dbtp, after.values())):.2f}", str(again)),
            )
    yield table


def _decode(path: Path) -> Sound:
    command = [str(FFMPEG.binary), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a", "-f", "f32le", "-"]
    return _floats(subprocess.run(command, capture_output=True, check=True).stdout)


def _floats(data: bytes) -> Sound:
    return np.frombuffer(data, "<f4").reshape(-1, 2).astype(float)


def _lufs(sound: Sound) -> float:
    return float(pyloudnorm.Meter(RATE_HZ, filter_class="DeMan").integrated_loudness(sound))


def _peak_dbtp(sound: Sound) -> float:
    """In pieces of ten seconds that overlap, or a long track would take gigabytes."""
    step, edge = 10 * RATE_HZ, 1000
    pieces = (sound[max(0, start - edge) : start + step + edge] for start in range(0, len(sound), step))
    peaks = (np.abs(signal.resample_poly(piece, 8, 1, axis=0, window=("kaiser", 9.0))).max() for piece in pieces)
    return float(20 * np.log10(max(peaks)))


PARTS: Mapping[str, Callable[[Path, argparse.Namespace], Iterator[Table]]] = {
    "speed": _speed,
    "coders": _coders,
    "loudness": _loudness,
}

if __name__ == "__main__":
    main()
