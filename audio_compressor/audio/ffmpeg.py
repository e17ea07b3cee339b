"""The FFmpeg binary: finding it, asking what it can do, and running it safely.

Every file name reaches FFmpeg as an absolute ``file:`` URL behind a protocol and a format whitelist, so that no name is
taken for an option or a URL, and no upload can make FFmpeg read another file or the network (a playlist would). Only
playlists of our own are read over HTTP, from this machine. What it may use of the machine is limited by the kernel, in
proportion to what it reads.
"""

import errno
import logging
import re
import resource
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg

from audio_compressor.errors import EncodingError, FfmpegMissingError, OutOfSpaceError, TimedOutError
from audio_compressor.processes import ChildProcesses, Finished, Limits, TakeOutput
from audio_compressor.texts import visible

logger = logging.getLogger(__name__)

# Containers that hold sound and name no other file; the raw PCM ones are for headers that cannot be read (see wav.py).
_FORMATS = "wav,w64,aiff,caf,au,flac,ogg,mp3,aac,mov,matroska,u8,s16le,s24le,s32le,f32le,f64le"
# Measured: 76 to 110 MB for every format, 1 to 8 channels and any length on 2 CPUs, stacks included. FFmpeg starts at
# most 16 threads each for decoding, filtering and encoding, and some to hand things on; their stacks count.
_MEMORY_BYTES = 256_000_000
_MOST_THREADS = 64
_USUAL_STACK_BYTES = 8 * 1024 * 1024
# Of containers with a table of all packets: 4 GB of M4A at 128 kbit/s took 995 MB, 0.25 bytes for each byte of the
# file; at 16 kbit/s these are 2.
_MEMORY_BYTES_PER_INPUT_BYTE = 2
_ASKING_SECONDS = 30.0
_OLDEST = (4, 4)  # the first with -max_probe_packets
_TAIL_LINES = 5
# "[wav @ 0x55ef13aead80] [error] text" and "[error] text": what `-loglevel level+info` makes of a line.
_LOG_LINE = re.compile(r"^(?:\[[^]]* @ [^]]*] )?\[(?P<level>\w+)] (?P<text>.*)$")
_PROBLEM_LEVELS = {"panic", "fatal", "error"}
# What FFmpeg adds after the line that says why.
_NOISE = re.compile(
    r"^(Error opening (input|output) files?[: ]|Task finished|Terminating thread|Nothing was written|Conv)"
)
_OPENING = re.compile(r"^Error opening (input|output): ")


@dataclass(frozen=True)
class Ffmpeg:
    """One FFmpeg binary; ``version`` is what it calls itself."""

    binary: Path
    version: str

    def run(
        self,
        arguments: Sequence[str],
        *,
        children: ChildProcesses,
        timeout_seconds: float,
        check: bool = True,
        take_stdout: TakeOutput | None = None,
        most_output_bytes: int | None = None,
    ) -> Finished:
        """Run FFmpeg; with ``check=False`` an exit code other than 0 is left to the caller.

        ``take_stdout`` is given what it writes to ``pipe:1``, piece by piece. Its output file may
        have ``most_output_bytes``, and its memory is limited in proportion to its input files.

        Raises:
            EncodingError: it ended with an error (with the last lines it printed), or reached a limit.
            OutOfSpaceError: the disk it writes to is full.
            CancelledError: the children are being killed.
            FfmpegMissingError: the binary cannot be started any more.
        """
        argv = [str(self.binary), *_GLOBAL_OPTIONS, *arguments]
        logger.debug("Running %s", argv)
        try:
            limits = Limits(_memory_limit_bytes(arguments), most_output_bytes)
            finished = children.run(argv, timeout_seconds=timeout_seconds, take_stdout=take_stdout, limits=limits)
        except TimedOutError as error:
            raise EncodingError(
                f"FFmpeg was stopped after its time limit of {timeout_seconds:.0f} s; "
                "the file may be damaged, or the machine overloaded"
            ) from error
        except OSError as error:
            raise FfmpegMissingError(f"{self.binary} cannot be started: {_why(error)}") from error
        if finished.returncode and "No space left on device" in finished.stderr:
            raise OutOfSpaceError("FFmpeg found no space left on the device while writing; free some or move TEMP_DIR")
        if most_output_bytes is not None and finished.returncode == -signal.SIGXFSZ:
            raise EncodingError(
                f"FFmpeg was stopped at {most_output_bytes / 1e6:,.0f} MB of output: the file claims to hold more "
                "sound than one of its size can; check what it is, and record or export it again"
            )
        if finished.returncode and _OUT_OF_MEMORY in finished.stderr:
            raise EncodingError(
                f"FFmpeg was stopped at its memory limit of {limits.memory_bytes / 1e6:,.0f} MB, which no good file of "
                "this size needs: its header or tables are damaged, or made to do harm. Check where it comes from, and "
                "record or export it again, as WAV if you can"
            )
        if finished.returncode < 0 and check:  # what it printed last has nothing to do with it
            raise EncodingError(f"FFmpeg {ending(finished.returncode)}")
        if finished.returncode and check:
            raise EncodingError(f"FFmpeg {ending(finished.returncode)}: {tail(finished.stderr)}")
        return finished

    def require_encoder(self, encoder: str) -> None:
        """Ask the binary for its encoders. Raises FfmpegMissingError when ``encoder`` is not among them."""
        if encoder not in _encoders(self.binary):
            raise FfmpegMissingError(
                f"{self.binary} (FFmpeg {self.version}) was built without the encoder {encoder}; "
                "choose another AUDIO_FORMAT, or leave FFMPEG_BINARY empty to use the one that imageio-ffmpeg ships"
            )


_FILE = "file:"
_LOOPBACK = "127.0.0.1"
_OUT_OF_MEMORY = "Cannot allocate memory"
_GLOBAL_OPTIONS = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info", "-y")


def find_ffmpeg(configured: str = "") -> Ffmpeg:
    """The configured binary (path or name), else the one imageio-ffmpeg ships, else ``ffmpeg`` on the path.

    Raises:
        FfmpegMissingError: there is none, it does not answer when asked for its version, or it is too old.
    """
    binary = _locate(configured)
    words = _ask(binary, "-version").split(maxsplit=3)
    if words[:2] != ["ffmpeg", "version"] or len(words) < 3:
        raise FfmpegMissingError(f"{binary} does not answer like FFmpeg when asked for its version")
    _require_version(binary, words[2])
    return Ffmpeg(binary, words[2])


def _require_version(binary: Path, version: str) -> None:
    """Builds from the development branch have no number and are taken to be new."""
    number = re.match(r"n?(\d+)\.(\d+)", version)
    if number and (int(number[1]), int(number[2])) < _OLDEST:
        raise FfmpegMissingError(
            f"{binary} is FFmpeg {version}, and {_OLDEST[0]}.{_OLDEST[1]} or newer is needed; "
            "leave FFMPEG_BINARY empty to use the one that imageio-ffmpeg ships"
        )


def input_arguments(path: Path, options: Sequence[str] = ()) -> tuple[str, ...]:
    """How to name an input file; ``options`` are for its demuxer."""
    return ("-protocol_whitelist", "file,pipe", "-format_whitelist", _FORMATS, *options, "-i", file_url(path))


def loopback_input_arguments(port: int, path: str) -> tuple[str, ...]:
    """How to name an HLS playlist that a server on this machine offers: the only input that is no file.

    What it names is opened as well, so the caller makes sure that it names nothing of another server. A proxy that the
    environment asks for is not used.
    """
    url = f"http://{_LOOPBACK}:{port}/{path}"
    limits = ("-protocol_whitelist", "http,tcp", "-format_whitelist", "hls,mpegts,mov", "-http_proxy", "none")
    return (*limits, "-i", url)


def _memory_limit_bytes(arguments: Sequence[str]) -> int:
    urls = [url for option, url in pairwise(arguments) if option == "-i"]
    files = [Path(url.removeprefix(_FILE)) for url in urls if url.startswith(_FILE)]
    stack_bytes, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if stack_bytes == resource.RLIM_INFINITY:  # then glibc takes less
        stack_bytes = _USUAL_STACK_BYTES
    input_bytes = sum(path.stat().st_size for path in files if path.is_file())
    return _MEMORY_BYTES + _MOST_THREADS * stack_bytes + _MEMORY_BYTES_PER_INPUT_BYTE * input_bytes


def file_url(path: Path) -> str:
    return f"{_FILE}{path.absolute()}"


def problems(stderr: str) -> tuple[str, ...]:
    """The texts of the lines that FFmpeg printed as errors."""
    return tuple(text for level, text in log_lines(stderr) if level in _PROBLEM_LEVELS)


def log_lines(stderr: str) -> list[tuple[str, str]]:
    """Each line's level and text, without addresses in memory; the level is empty for a line that has none."""
    # Among them are texts out of the file, such as titles.
    lines = (visible(line).strip() for line in stderr.splitlines())
    matches = ((line, _LOG_LINE.match(line)) for line in lines)
    return [(match["level"], match["text"].strip()) if match else ("", line) for line, match in matches if line]


def tail(stderr: str) -> str:
    """The last lines worth reading, as one line: the errors if it printed any, else the end."""
    texts = list(problems(stderr)) or [text for _, text in log_lines(stderr)]
    telling = [_OPENING.sub("", text) for text in texts if not _NOISE.match(text)] or texts
    return " | ".join(dict.fromkeys(telling[-_TAIL_LINES:])) or "it printed nothing"


def ending(returncode: int) -> str:
    """In words how a process ended."""
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name} (out of memory?)"
    return f"ended with exit code {returncode}"


def _locate(configured: str) -> Path:
    if configured:
        found = shutil.which(configured)
        if found is None:
            raise FfmpegMissingError(
                f"FFMPEG_BINARY is '{configured}', which is no executable file and no command on the path; "
                "leave it empty to use the FFmpeg that imageio-ffmpeg ships"
            )
        return Path(found).absolute()
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe()).absolute()
    except RuntimeError:  # a platform for which the wheel ships none
        found = shutil.which("ffmpeg")
    if found is None:
        raise FfmpegMissingError("There is no FFmpeg: install imageio-ffmpeg or ffmpeg, or set FFMPEG_BINARY")
    return Path(found).absolute()


def _ask(binary: Path, question: str) -> str:
    try:
        finished = ChildProcesses().run([str(binary), "-hide_banner", question], timeout_seconds=_ASKING_SECONDS)
    except (OSError, TimedOutError) as error:
        why = _why(error) if isinstance(error, OSError) else str(error)
        raise FfmpegMissingError(f"{binary} does not run as FFmpeg ({why}); check FFMPEG_BINARY") from error
    if finished.returncode:
        raise FfmpegMissingError(
            f"{binary} {question} {ending(finished.returncode)} ({tail(finished.stderr)}); check FFMPEG_BINARY"
        )
    return finished.stdout.decode(errors="replace")


def _why(error: OSError) -> str:
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "too many open files; raise the limit, with ulimit -n or LimitNOFILE="
    return error.strerror or str(error)


@lru_cache(maxsize=8)
def _encoders(binary: Path) -> frozenset[str]:
    # " A....D libopus              libopus Opus (codec opus)"
    rows = (line.split() for line in _ask(binary, "-encoders").splitlines())
    return frozenset(row[1] for row in rows if len(row) > 1 and row[0].startswith("A"))
