"""The real command in a process of its own, everything that it starts, and how it ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audio_compressor_tests.soak.processes import TOKEN, PatientClock, kill_all, open_files, processes, status


@dataclass(frozen=True)
class Ending:
    """How a command ended. ``signal_number`` is what we sent, and ``seconds_after_signal`` how long it took then.

    ``signal_was_caught``: the command had its handlers at that moment, or should have: it has none while Python starts
    and after its work.
    ``signal_came_late``: its work was done and summed up.
    """

    night: str
    code: int
    out: str
    err: str
    signal_number: signal.Signals | None = None
    signal_was_caught: bool = False
    signal_came_late: bool = False
    seconds_after_signal: float = 0.0
    hung: bool = False

    @property
    def was_killed(self) -> bool:
        return self.signal_number == signal.SIGKILL and self.code == -signal.SIGKILL

    @property
    def was_interrupted(self) -> bool:
        return self.signal_number in {signal.SIGTERM, signal.SIGINT}


class Night:
    """One ``audio-compressor run``. Its environment carries a token by which all of its processes are found."""

    def __init__(self, name: str, environment: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self._out, self._err = logs / f"{name}.out", logs / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "audio_compressor", "run"],
                cwd=logs,
                env={**environment, TOKEN: name},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self._signal: signal.Signals | None = None
        self._was_caught = self._came_late = False
        self._since_signal = PatientClock()
        self._code: int | None = None
        self._hung = False

    @property
    def is_running(self) -> bool:
        """To be asked often: it also takes the time since a signal."""
        if self._code is None:
            self._code = self._process.poll()
            self._since_signal.tick(paused=self._signal is None or self.is_stopped)
        return self._code is None

    @property
    def is_stopped(self) -> bool:
        """By somebody's SIGSTOP."""
        return status(self._process.pid).get("State", "").startswith("T")

    @property
    def has_summed_up(self) -> bool:
        """It prints nothing to standard output before its work is done."""
        return self._out.stat().st_size > 0

    def send(self, number: signal.Signals) -> bool:
        """False when it has ended already."""
        if not self.is_running:
            return False
        caught = int(status(self._process.pid).get("SigCgt", "0"), 16)
        # Python itself catches SIGINT from its start; the command takes over both at once.
        self._was_caught = bool(caught >> (signal.SIGTERM - 1) & 1) or self._is_at_work()
        self._came_late = self.has_summed_up
        self._since_signal = PatientClock()
        self._signal = number
        self._process.send_signal(number)
        return True

    def _is_at_work(self) -> bool:
        """It is connected with something, or has started something."""
        return any("socket:" in name for name in open_files(self._process.pid)) or len(processes(self.name)) > 1

    def give_up(self) -> None:
        """It hangs: let it write where (faulthandler), then kill everything of it."""
        self._hung = True
        self._process.send_signal(signal.SIGABRT)
        time.sleep(1.0)
        kill_all(self.name)
        self._code = self._process.wait()

    def ending(self) -> Ending:
        code = self._process.wait()
        return Ending(
            self.name,
            code,
            self._out.read_text(errors="replace"),
            self._err.read_text(errors="replace"),
            self._signal,
            self._was_caught,
            self._came_late,
            self._since_signal.seconds,
            self._hung,
        )
