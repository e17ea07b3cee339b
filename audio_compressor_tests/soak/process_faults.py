"""Faults of processes: of the command, of those that it starts, and of FFmpeg, which may also lie."""

import os
import signal
import time

from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor_tests.soak.faults import ANY_ENDING, Fault, Scene
from audio_compressor_tests.soak.lying_ffmpeg import Lie, has_lied, lying_ffmpeg
from audio_compressor_tests.soak.processes import kill, processes

_DOWNLOADER = "sftp.worker"
_LYING = "lying-ffmpeg"


def _use_lying_ffmpeg(scene: Scene, lie: Lie, percent: int) -> None:
    path = scene.world.directory / _LYING
    lying_ffmpeg(path, lie, percent=percent, seed=scene.random.randrange(1_000_000))
    scene.settings["FFMPEG_BINARY"] = str(path)


def _end_hanging(scene: Scene) -> None:
    """FFmpegs that hang, of commands that live: the time limit for one is minutes."""
    for night in scene.nights:
        for pid in processes(night.name, _LYING) if night.is_running else ():
            kill(pid)


def _publishes(scene: Scene) -> bool:
    """Looks for a part file in the destination for a while: there is one for milliseconds only."""
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        if any(entry.name.endswith(".part") for entry in os.scandir(scene.world.destination_path)):
            time.sleep(scene.random.choice([0.0, 0.001, 0.005]))
            return True
    return False


class Signalled(Fault):
    """The command is told to end, or is killed; at times while it publishes, FFmpeg hangs or the server is silent."""

    number: signal.Signals

    def prepare(self, scene: Scene) -> None:
        obstacles = ["", "", "", "it publishes", "FFmpeg hangs", "server stalls"]
        self._obstacle = "" if scene.surely else scene.random.choice(obstacles)
        self._steps = scene.random.randint(1, 30)
        if self._obstacle == "FFmpeg hangs":
            _use_lying_ffmpeg(scene, "hangs", 100)
            self.expected_codes = ANY_ENDING  # of the other command, whose FFmpegs are killed

    def strike(self, scene: Scene) -> bool:
        if self._obstacle == "it publishes":
            if not _publishes(scene):
                return False
        elif self._obstacle:
            if self._obstacle == "server stalls":
                scene.world.server.faults.stall_reads.set()
            self._steps -= 1
            if self._steps > 0:
                return False
        running = [night for night in scene.nights if night.is_running]
        self.happened = bool(running) and scene.random.choice(running).send(self.number)
        return True

    def tend(self, scene: Scene) -> None:
        """The other command, if there is one, shall go on."""
        if len(scene.nights) > 1:
            scene.world.server.faults.stall_reads.clear()
            _end_hanging(scene)

    def undo(self, scene: Scene) -> None:
        scene.world.server.faults.stall_reads.clear()


class KillCommand(Signalled):
    kind, number = "kill -9 command", signal.SIGKILL


class Terminate(Signalled):
    kind, number = "SIGTERM", signal.SIGTERM


class Interrupt(Signalled):
    kind, number = "SIGINT", signal.SIGINT


class KillChild(Fault):
    """A process that the command has started is killed, some times in one night."""

    expected_codes = ANY_ENDING

    def prepare(self, scene: Scene) -> None:
        self._times = scene.random.choice([1, 1, 3])

    def strike(self, scene: Scene) -> bool:
        pids = [pid for night in scene.nights for pid in processes(night.name, self.command)]
        if pids and kill(scene.random.choice(pids)):
            self._times -= 1
            self.happened = True
        return self._times == 0

    @property
    def command(self) -> str:
        """What its command line holds."""
        raise NotImplementedError


class KillDownload(KillChild):
    kind = "kill -9 download"

    @property
    def command(self) -> str:
        return _DOWNLOADER


class KillFfmpeg(KillChild):
    kind = "kill -9 FFmpeg"

    @property
    def command(self) -> str:
        return str(find_ffmpeg().binary)


class LyingFfmpeg(Fault):
    """FFmpeg misbehaves with some or all of the recordings."""

    expected_codes = ANY_ENDING
    from_the_start = True
    lie: Lie

    def prepare(self, scene: Scene) -> None:
        _use_lying_ffmpeg(scene, self.lie, scene.random.choice([30, 70, 100]))

    def undo(self, scene: Scene) -> None:
        self.happened = has_lied(scene.world.directory / _LYING)


class FfmpegFails(LyingFfmpeg):
    kind, lie = "FFmpeg fails", "fails"


class FfmpegGarbage(LyingFfmpeg):
    kind, lie = "FFmpeg writes garbage", "writes garbage"


class FfmpegShort(LyingFfmpeg):
    kind, lie = "FFmpeg stops short", "stops short"


class FfmpegCuts(LyingFfmpeg):
    kind, lie = "FFmpeg's file is cut", "cuts the file"


class FfmpegHangs(LyingFfmpeg):
    """Each one that hangs is killed after a while."""

    kind, lie = "FFmpeg hangs", "hangs"

    def prepare(self, scene: Scene) -> None:
        super().prepare(scene)
        self._steps = 0

    def tend(self, scene: Scene) -> None:
        self._steps += 1
        if self._steps % 10 == 0:
            _end_hanging(scene)
