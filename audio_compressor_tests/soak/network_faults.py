"""Faults of the network and of the server as a whole."""

import time

from audio_compressor.sftp.endpoint import Timeouts
from audio_compressor_tests.soak.faults import ANY_ENDING, Fault, Scene


class Drop(Fault):
    """The connection breaks at a random byte, several times."""

    kind = "connection dropped"
    expected_codes = ANY_ENDING
    from_the_start = True

    def prepare(self, scene: Scene) -> None:
        self._left = scene.random.randint(1, 6)
        self._bytes = sum(scene.world.sources.current(name).fingerprint.size_bytes for name in scene.victims)
        self._arm(scene)

    def tend(self, scene: Scene) -> None:
        self.happened |= scene.world.server.faults.drop_after_read_bytes is None
        if self._left and scene.world.server.faults.drop_after_read_bytes is None:
            self._left -= 1
            self._arm(scene)

    def undo(self, scene: Scene) -> None:
        self.happened |= scene.world.server.faults.drop_after_read_bytes is None
        scene.world.server.faults.drop_after_read_bytes = None

    def _arm(self, scene: Scene) -> None:
        scene.world.server.faults.drop_after_read_bytes = scene.random.randrange(max(self._bytes, 1))


class Stall(Fault):
    """The server says nothing for a while and keeps the connection; then it goes on, or drops it."""

    kind = "server stalls"
    expected_codes = ANY_ENDING

    def strike(self, scene: Scene) -> bool:
        scene.world.server.faults.stall_reads.set()
        self._steps, self._drops = scene.random.randint(5, 60), scene.random.random() < 0.4
        return super().strike(scene)

    def tend(self, scene: Scene) -> None:
        self._steps -= 1
        if self._steps == 0:
            if self._drops:
                scene.world.server.drop_connections()
            scene.world.server.faults.stall_reads.clear()

    def undo(self, scene: Scene) -> None:
        scene.world.server.faults.stall_reads.clear()


class SilentTooLong(Fault):
    """The server says nothing for longer than the product waits for an answer, and keeps the connection."""

    kind = "server silent too long"
    expected_codes = ANY_ENDING

    def strike(self, scene: Scene) -> bool:
        scene.world.server.faults.reading.clear()
        scene.world.server.faults.stall_reads.set()
        self._until: float | None = None
        return True

    def tend(self, scene: Scene) -> None:
        faults = scene.world.server.faults
        if self._until is None and faults.reading.is_set():
            self._until = time.monotonic() + Timeouts().channel_seconds + 5
        if self._until is not None and time.monotonic() > self._until:
            self.happened = True
            faults.stall_reads.clear()

    def undo(self, scene: Scene) -> None:
        scene.world.server.faults.stall_reads.clear()


class Away(Fault):
    """The server refuses connections for the whole night."""

    kind = "server away"
    expected_codes = frozenset({2})
    from_the_start = True

    def prepare(self, scene: Scene) -> None:
        scene.world.server.stop()
        self.happened = True

    def undo(self, scene: Scene) -> None:
        scene.world.server.start()


class GoesAway(Fault):
    """The server goes away in the middle, for a moment or for the rest of the night."""

    kind = "server goes away"
    expected_codes = ANY_ENDING

    def strike(self, scene: Scene) -> bool:
        self._steps = scene.random.choice([4, 20, -1])
        scene.world.server.stop()
        return super().strike(scene)

    def tend(self, scene: Scene) -> None:
        self._steps -= 1
        if self._steps == 0:
            scene.world.server.start()

    def undo(self, scene: Scene) -> None:
        scene.world.server.start()
