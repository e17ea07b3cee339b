"""What all faults have in common, and the one that is none. kinds.py lists them all."""

from dataclasses import dataclass, field
from random import Random

from audio_compressor_tests.soak.night import Night
from audio_compressor_tests.soak.world import DESTINATIONS, Destination, World

ANY_ENDING = frozenset({0, 1, 2})


@dataclass
class Scene:
    """A night that is about to happen, or happens. ``settings`` go into the environment of its commands.

    ``victims`` are recordings that it has to process. ``surely``: the fault found no occasion before, and shall not
    wait for a rare one.
    """

    world: World
    random: Random
    victims: list[str]
    nights: list[Night] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    surely: bool = False


class Fault:
    """One fault in one night.

    ``expected_codes``: what the command may exit with, besides what a signal of ours makes it; 0 is judged by what it
    left. ``destinations``: those with which it makes sense. ``needs_disks``: it needs file systems of our own.
    ``from_the_start``: it strikes at no moment, it is prepared and then waits for its occasion. ``happened``: it did,
    and counts.
    """

    kind: str
    expected_codes: frozenset[int] = frozenset({0})
    destinations: frozenset[Destination] = frozenset(DESTINATIONS)
    needs_disks = False
    from_the_start = False
    happened = False

    def prepare(self, scene: Scene) -> None:
        """Before the command starts."""

    def strike(self, scene: Scene) -> bool:  # noqa: ARG002 - others need it
        """At the moment that was chosen. False when there is nothing to strike yet: it is asked again."""
        self.happened = True
        return True

    def tend(self, scene: Scene) -> None:
        """Every now and then after the strike."""

    def undo(self, scene: Scene) -> None:
        """When all is over."""


class Nothing(Fault):
    """No fault: the night has to succeed."""

    kind = "none"
    from_the_start = True

    def prepare(self, scene: Scene) -> None:  # noqa: ARG002 - others need it
        self.happened = True
