"""Faults of files and of what they lie on: sources that change or cannot be read, disks that are full."""

from pathlib import Path

import asyncssh

from audio_compressor_tests.soak.disks import empty, fill
from audio_compressor_tests.soak.faults import ANY_ENDING, Fault, Scene
from audio_compressor_tests.soak.sources import Change
from audio_compressor_tests.soak.world import Destination

_LOCAL: frozenset[Destination] = frozenset({"local"})


class _Occasion(Fault):
    """Waits until a certain byte of one audio file is read."""

    expected_codes = ANY_ENDING
    from_the_start = True

    def prepare(self, scene: Scene) -> None:
        self._victim = scene.random.choice(scene.victims)
        path = scene.world.sources.audio(self._victim)
        size_bytes = scene.world.sources.current(self._victim).fingerprint.size_bytes
        byte = scene.random.choice([0, *(scene.random.randrange(size_bytes) for _ in range(3))])

        def take(read: Path, end: int) -> None:
            if read == path and end > byte:
                self.take(scene)

        scene.world.server.faults.on_read_of = take

    def take(self, scene: Scene) -> None:
        """In the server's thread; what this raises is the answer to the read."""
        raise NotImplementedError

    def undo(self, scene: Scene) -> None:
        scene.world.server.faults.on_read_of = None


class Refuse(_Occasion):
    """The server refuses to read one audio file, from a random byte on."""

    kind = "read refused"

    def prepare(self, scene: Scene) -> None:
        self._refusal = scene.random.choice([asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied])
        super().prepare(scene)

    def take(self, scene: Scene) -> None:  # noqa: ARG002 - others need it
        self.happened = True
        raise self._refusal("the soak wants it so")


class ChangedSource(_Occasion):
    """An audio file becomes another one while it is read, once or several times."""

    change: Change

    def prepare(self, scene: Scene) -> None:
        self._times = scene.random.choice([1, 1, 2, 5])
        super().prepare(scene)

    def take(self, scene: Scene) -> None:
        if self._times:
            self._times -= 1
            self.happened = True
            scene.world.sources.change(self._victim, self.change, scene.random)


class Rewritten(ChangedSource):
    kind = "source rewritten"
    change = "rewrite"


class Grown(ChangedSource):
    kind = "source grown"
    change = "grow"


class Replaced(ChangedSource):
    kind = "source replaced"
    change = "replace"


class FullDisk(Fault):
    """A disk has next to no space left, from the beginning or from the chosen moment on."""

    expected_codes = ANY_ENDING
    needs_disks = True
    disk: str

    def prepare(self, scene: Scene) -> None:
        if self.from_the_start:
            self._fill(scene)

    def strike(self, scene: Scene) -> bool:
        self._fill(scene)
        return True

    def undo(self, scene: Scene) -> None:
        empty(scene.world.directory / self.disk)

    def _fill(self, scene: Scene) -> None:
        self.happened = True
        fill(scene.world.directory / self.disk, scene.random.choice([4096, scene.random.randrange(4096, 300_000)]))


class DestinationFull(FullDisk):
    kind, disk, from_the_start = "destination full", "output", True
    destinations = _LOCAL


class DestinationFills(FullDisk):
    kind, disk, from_the_start = "destination fills up", "output", False
    destinations = _LOCAL


class StagingFull(FullDisk):
    kind, disk, from_the_start = "staging full", "staging", True


class StagingFills(FullDisk):
    kind, disk, from_the_start = "staging fills up", "staging", False
