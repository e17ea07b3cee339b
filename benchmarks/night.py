"""A night's work, side by side: the plain script, rclone and xargs, and `audio-compressor run`.

    python -m benchmarks.night [--rounds 3] [--json FILE] [--without NAME] [SCENARIO ...]

A scenario is COUNTxMEGABYTES:FORMAT, such as 40x23:wav (the default), 400x1:wav or 12x115:opus. The recordings are
generated and served by a real sshd on loopback; in each round the candidates run in turn, each with empty directories.
All of them use the same FFmpeg. Ratios are those of the medians, against `audio-compressor run`.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.cli.environment import open_instance
from benchmarks.loopback import USER, LoopbackServer, loopback_sshd
from benchmarks.measure import Measurement, children_cpu_seconds, measure
from benchmarks.recordings import make_recordings

BITRATE = "32k"
ENCODER_ARGUMENTS = {
    "wav": "-ar 16000 -ac 1 -c:a pcm_s16le",
    "opus": f"-ar 16000 -ac 1 -c:a libopus -b:a {BITRATE}",
    "mp3": f"-ar 16000 -ac 1 -c:a libmp3lame -b:a {BITRATE}",
    "m4a": f"-ar 16000 -ac 1 -c:a aac -b:a {BITRATE}",
    "flac": "-ar 16000 -ac 1 -c:a flac",
}
OURS, PLAIN, RCLONE = "audio-compressor run", "plain script", "rclone and xargs"
RCLONE_SCRIPT = r"""
rclone copy --config "" ":sftp:$SOURCE" "$STAGING" \
    --sftp-host 127.0.0.1 --sftp-port "$PORT" --sftp-user "$USER" --sftp-key-file "$KEY" \
    --sftp-known-hosts-file "$KNOWN_HOSTS"
cd "$STAGING"
ls | xargs -P "$(nproc)" -I '{}' sh -c '
    "$FFMPEG" -v error -nostdin -i "{}/StereoMix.wav" $ARGUMENTS "$OUTPUT/{}_compressed.$EXTENSION" &&
    mv "{}/Meta.xml" "$OUTPUT/{}_meta.xml" && rm "{}/StereoMix.wav"'
"""


@dataclass(frozen=True)
class Scenario:
    count: int
    megabytes: float
    audio_format: str

    @classmethod
    def parse(cls, text: str) -> "Scenario":
        match = re.fullmatch(r"(\d+)x(\d+(?:\.\d+)?):(\w+)", text)
        if match is None or match[3] not in ENCODER_ARGUMENTS:
            raise argparse.ArgumentTypeError(
                f"'{text}' is not COUNTxMEGABYTES:FORMAT with a format of {', '.join(ENCODER_ARGUMENTS)}"
            )
        return cls(int(match[1]), float(match[2]), match[3])

    def __str__(self) -> str:
        return f"{self.count} × {self.megabytes:g} MB to {self.audio_format}"


@dataclass(frozen=True)
class Bench:
    """The directories and the server of one scenario."""

    scenario: Scenario
    directory: Path
    server: LoopbackServer

    @property
    def source(self) -> Path:
        return self.directory / "source"

    def fresh(self, name: str) -> Path:
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", type=Scenario.parse, default=[Scenario(40, 23, "wav")])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every single measurement there")
    parser.add_argument("--without", action="append", default=[], choices=CANDIDATES, help="leave a candidate out")
    arguments = parser.parse_args()
    names = [name for name in CANDIDATES if name not in arguments.without]
    if RCLONE in names and shutil.which("rclone") is None:
        print("rclone is not installed and is left out", file=sys.stderr)
        names.remove(RCLONE)
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(_machine())
    results = []
    for scenario in arguments.scenarios:
        measurements = _run_scenario(scenario, names, arguments.rounds)
        console.print(_table(scenario, measurements))
        results.append({"scenario": asdict(scenario), "measurements": _as_json(measurements)})
        if arguments.json:
            arguments.json.write_text(json.dumps({"machine": _machine(), "results": results}, indent=2) + "\n")


def _run_scenario(scenario: Scenario, names: Sequence[str], rounds: int) -> Mapping[str, list[Measurement]]:
    measurements: dict[str, list[Measurement]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary, Progress(transient=True) as progress:
        directory = Path(temporary)
        with loopback_sshd(directory) as server:
            bench = Bench(scenario, directory, server)
            task = progress.add_task(f"{scenario}: generating", total=rounds * len(names))
            make_recordings(bench.source, scenario.count, scenario.megabytes)
            for _ in range(rounds):
                for name in names:
                    progress.update(task, description=f"{scenario}: {name}")
                    measurements[name].append(_measure(name, bench))
                    progress.advance(task)
    return measurements


def _measure(name: str, bench: Bench) -> Measurement:
    """One candidate from empty directories; the CPU time of the server is counted as well."""
    output, staging = bench.fresh("output"), bench.fresh("staging")
    command, environment = CANDIDATES[name](bench, output, staging)
    before_seconds = children_cpu_seconds(bench.server.pid)
    measurement = measure(command, environment, staging, bench.directory / "printed")
    served_seconds = children_cpu_seconds(bench.server.pid) - before_seconds
    made = len(list(output.glob(f"*_compressed.{bench.scenario.audio_format}")))
    if made != bench.scenario.count:
        raise SystemExit(f"{name} made {made} of {bench.scenario.count} files")
    values = asdict(measurement)
    return Measurement(**{**values, "cpu_seconds": measurement.cpu_seconds + served_seconds})


def _alternative(bench: Bench, output: Path, staging: Path) -> dict[str, str]:
    return {
        **os.environ,
        "SOURCE": str(bench.source),
        "OUTPUT": str(output),
        "STAGING": str(staging),
        "PORT": str(bench.server.port),
        "USER": USER,
        "KEY": str(bench.server.user_key),
        "KNOWN_HOSTS": str(bench.server.known_hosts),
        "FFMPEG": str(find_ffmpeg().binary),
        "ARGUMENTS": ENCODER_ARGUMENTS[bench.scenario.audio_format],
        "EXTENSION": bench.scenario.audio_format,
    }


def _plain_script(bench: Bench, output: Path, staging: Path) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, str(Path(__file__).with_name("plain_script.py"))], _alternative(bench, output, staging)


def _rclone(bench: Bench, output: Path, staging: Path) -> tuple[list[str], dict[str, str]]:
    return ["sh", "-euc", RCLONE_SCRIPT], _alternative(bench, output, staging)


def _ours(bench: Bench, output: Path, staging: Path) -> tuple[list[str], dict[str, str]]:
    """In a DAGSTER_HOME that is there already, as in every night but the first."""
    home = bench.fresh("dagster_home")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SFTP_", "S3_", "DAGSTER_"))},
        "DAGSTER_HOME": str(home),
        "SFTP_SECRETS_NAME": "none",
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": str(bench.server.port),
        "SFTP_USERNAME": USER,
        "SFTP_PRIVATE_KEY_PATH": str(bench.server.user_key),
        "SFTP_HOST_KEY_POLICY": "strict",
        "SFTP_KNOWN_HOSTS": str(bench.server.known_hosts),
        "SFTP_REMOTE_PATH": str(bench.source),
        "OUTPUT_DIR": str(output),
        "TEMP_DIR": str(staging),
        "AUDIO_FORMAT": bench.scenario.audio_format,
        "BITRATE": BITRATE,
        "MAX_FILE_SIZE_MB": "10000",
    }
    os.environ["DAGSTER_HOME"] = str(home)
    with open_instance():
        pass
    return [sys.executable, "-m", "audio_compressor", "run"], environment


CANDIDATES: Mapping[str, Callable[[Bench, Path, Path], tuple[list[str], dict[str, str]]]] = {
    PLAIN: _plain_script,
    RCLONE: _rclone,
    OURS: _ours,
}


def _table(scenario: Scenario, measurements: Mapping[str, list[Measurement]]) -> Table:
    rounds = len(next(iter(measurements.values())))
    table = Table(title=f"{scenario}; medians of {rounds}", title_justify="left")
    for heading in ("", "wall s", "spread", "ours : it", "s each", "CPU s", "memory MB", "staging MB"):
        table.add_column(heading, justify="right" if heading else "left")
    ours = _median(measurements[OURS], "wall_seconds") if OURS in measurements else None
    for name, rows in measurements.items():
        walls = [row.wall_seconds for row in rows]
        wall = statistics.median(walls)
        table.add_row(
            name,
            f"{wall:.2f}",
            f"{min(walls):.1f}–{max(walls):.1f}",
            f"{ours / wall:.2f}" if ours else "",
            f"{wall / scenario.count:.3f}",
            f"{_median(rows, 'cpu_seconds'):.1f}",
            f"{_median(rows, 'peak_memory_mb'):.0f}",
            f"{_median(rows, 'peak_disk_mb'):.0f}",
        )
    return table


def _median(rows: Sequence[Measurement], figure: str) -> float:
    return float(statistics.median(getattr(row, figure) for row in rows))


def _as_json(measurements: Mapping[str, list[Measurement]]) -> dict[str, list[dict[str, float]]]:
    return {
        name: [{field.name: round(getattr(row, field.name), 3) for field in fields(row)} for row in rows]
        for name, rows in measurements.items()
    }


def _machine() -> str:
    cores, memory_gb = os.cpu_count(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return f"{cores} cores, {memory_gb:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
