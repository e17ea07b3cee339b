"""Faults of an SFTP server as a destination: it refuses what is written, drops the connection meanwhile, or is full."""

import asyncssh

from audio_compressor_tests.soak.faults import Fault, Scene
from audio_compressor_tests.soak.file_faults import FullDisk
from audio_compressor_tests.soak.world import ARCHIVE, Destination

# Nothing of this may fail a recording: there are other attempts, and the local directory.
_SFTP: frozenset[Destination] = frozenset({"sftp"})


class UploadRefused(Fault):
    """The server refuses some writes, or all of the night."""

    kind = "upload refused"
    destinations = _SFTP
    from_the_start = True

    def prepare(self, scene: Scene) -> None:
        refusal = scene.random.choice([asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied])
        left = scene.random.choice([1, 3, 10, 1_000_000])

        def refuse() -> None:
            nonlocal left
            if left > 0:
                left -= 1
                self.happened = True
                raise refusal("the soak wants it so")

        scene.world.server.faults.on_write = refuse

    def undo(self, scene: Scene) -> None:
        scene.world.server.faults.on_write = None


class UploadDropped(Fault):
    """The connection breaks at a random byte of what is written, once or several times."""

    kind = "upload dropped"
    destinations = _SFTP
    from_the_start = True

    def prepare(self, scene: Scene) -> None:
        self._left = scene.random.choice([1, 2, 4, 8])
        self._arm(scene)

    def tend(self, scene: Scene) -> None:
        if scene.world.server.faults.drop_after_written_bytes is None:
            self.happened = True
            if self._left:
                self._arm(scene)

    def undo(self, scene: Scene) -> None:
        self.happened |= scene.world.server.faults.drop_after_written_bytes is None
        scene.world.server.faults.drop_after_written_bytes = None

    def _arm(self, scene: Scene) -> None:
        self._left -= 1
        most_bytes = 10_000 if scene.surely else 300_000
        scene.world.server.faults.drop_after_written_bytes = scene.random.randrange(most_bytes)


class ArchiveFull(FullDisk):
    kind, disk, from_the_start = "SFTP destination full", ARCHIVE, True
    destinations = _SFTP
    expected_codes = frozenset({0})


class ArchiveFills(FullDisk):
    kind, disk, from_the_start = "SFTP destination fills up", ARCHIVE, False
    destinations = _SFTP
    expected_codes = frozenset({0})
