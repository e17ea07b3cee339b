"""The rounds: something new on the server, one fault in one night, a look at what is left; sometimes a quiet night."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random

from audio_compressor_tests.soak.endings import judge_ending
from audio_compressor_tests.soak.faults import Fault, Nothing, Scene
from audio_compressor_tests.soak.judge import Finding, Judge
from audio_compressor_tests.soak.kinds import KINDS, in_turn
from audio_compressor_tests.soak.moments import Length, Moment
from audio_compressor_tests.soak.night import Ending, Night
from audio_compressor_tests.soak.processes import ORPHANS_SECONDS, PatientClock, kill_all, wait_for_the_end
from audio_compressor_tests.soak.sources import Change
from audio_compressor_tests.soak.stages import stage
from audio_compressor_tests.soak.tally import Tally
from audio_compressor_tests.soak.world import DESTINATIONS, FORMATS, Destination, World

# A fault that finds no occasion is tried again; the last time it strikes as soon as there is work.
_ATTEMPTS = 3
# After so many faults a night without any has to bring everything in order; then format and destination change.
CHAPTER = 10
_TICK_SECONDS = 0.05
# From a few recordings one could not tell how long a night takes for each of them.
_FIRST = 6
# A night takes seconds here, and little more than a minute where a server is silent for too long.
_HANG_SECONDS = 150.0
# Rounds that found something keep a copy of the world, as many as this.
_KEPT = 3


@dataclass(frozen=True)
class _Played:
    """What happened in one round's night. The fault struck ``struck_at_seconds`` after its start, in the stage
    ``struck_in``; the first run began to work at ``working_at_seconds`` (0: it never did).
    """

    endings: tuple[Ending, ...]
    struck_in: str
    struck_at_seconds: float
    working_at_seconds: float
    seconds: float
    started_at_seconds: float


class Soak:
    """Runs rounds in one world, one after the other, and keeps the tally."""

    def __init__(self, world: World, seed: int, only: Sequence[str], say: Callable[[str], None]) -> None:
        self._world = world
        self._seed = seed
        self._say = say
        self._judge = Judge(world)
        possible = [name for name in only or KINDS if world.disks_can_be_filled or not KINDS[name].needs_disks]
        with_kinds = {
            destination: [name for name in possible if destination in KINDS[name].destinations]
            for destination in DESTINATIONS
        }
        self._kinds = {
            destination: in_turn(Random(f"{seed} kinds {destination}"), names)  # noqa: S311
            for destination, names in with_kinds.items()
        }
        usable: list[Destination] = [destination for destination in DESTINATIONS if with_kinds[destination]]
        self._destinations = cycle(usable or DESTINATIONS)
        world.destination = next(self._destinations)
        self._tolerated: frozenset[str] = frozenset()
        self._round = 0
        self._drawn = 0
        self._kept = 0
        self._length = Length()
        self.tally = Tally(seed, left_out=tuple(name for name in only or KINDS if name not in possible))

    def run(self, *, until: Callable[[], bool], rounds: int | None) -> None:
        """Rounds until ``until`` says so or there were as many as ``rounds``; quiet nights are extra, and so are second
        and third attempts at a fault that found no occasion.
        """
        self._add_recordings(Random(f"{self._seed} beginning"), _FIRST)  # noqa: S311
        self._quiet_night("the first night")
        while not until() and (rounds is None or self._drawn < rounds):
            kind = next(self._kinds[self._world.destination], None)
            if kind is None:
                break
            self._drawn += 1
            for attempt in range(1, _ATTEMPTS + 1):
                self._round += 1
                if self._noisy_night(kind(), surely=attempt == _ATTEMPTS) or until():
                    break
            if self._drawn % CHAPTER == 0 and not until():
                self._end_chapter(f"after round {self._round}")
                random = Random(f"{self._seed} format {self._drawn}")  # noqa: S311
                self._world.audio_format = random.choice(FORMATS)
                self._world.destination = next(self._destinations)
        self._end_chapter("the last night", thoroughly=True)

    def _end_chapter(self, name: str, *, thoroughly: bool = False) -> None:
        """With something new, so that the SFTP server's directory is looked at and tidied."""
        self._add_recordings(Random(f"{self._seed} {name}"), 1)  # noqa: S311
        self._world.age_leftovers()
        self._quiet_night(name, thoroughly=thoroughly, reconciled=True)

    def _noisy_night(self, fault: Fault, *, surely: bool) -> bool:
        """Whether the fault happened."""
        random = Random(f"{self._seed} round {self._round}")  # noqa: S311
        victims = self._change_recordings(random)
        scene = Scene(self._world, random, victims, surely=surely)
        may_replace = random.random() < 0.4
        scene.settings["ON_EXISTING"] = "replace" if may_replace else "timestamp"
        played = self._play(f"round-{self._round}", fault, scene, commands=random.choice([1, 1, 1, 2]))
        (self.tally.faults if fault.happened else self.tally.missed)[fault.kind] += 1
        when = "did not happen"
        if fault.happened:
            when = "" if fault.from_the_start else f"at {played.struck_at_seconds:.1f} s, {played.struck_in}"
            self.tally.stages.update([] if fault.from_the_start else [played.struck_in])
        elif not fault.from_the_start:
            self._length = self._length.shorter()
        found = self._findings(fault, played, may_replace=may_replace)
        codes = " and ".join(str(ending.code) for ending in played.endings)
        way = f" ({self._world.destination}{', replacing' if may_replace else ''})"
        self._report(
            f"#{self._round} {fault.kind} {when}".rstrip() + f"{way}: exit {codes}, {played.seconds:.1f} s", found
        )
        if any(ending.was_killed for ending in played.endings) and random.random() < 0.4:
            self._quiet_night(f"the night after round {self._round}")  # with nothing new, or with nothing to do at all
        return fault.happened

    def _quiet_night(self, name: str, *, thoroughly: bool = False, reconciled: bool = False) -> None:
        """Everything has to be done, and nothing left, after one night without faults."""
        self._world.sources.wait_until_settled()
        outstanding = self._judge.outstanding()
        scene = Scene(self._world, Random(0), [])  # noqa: S311
        played = self._play(f"round-{self._round}-quiet", Nothing(), scene, commands=1)
        if outstanding >= _FIRST:
            working_seconds = played.seconds - played.working_at_seconds
            self._length = Length(played.working_at_seconds, working_seconds / outstanding)
        found = self._findings(Nothing(), played)
        ledger = self._judge.ledger()
        found += self._judge.completeness(ledger, played.started_at_seconds)
        found += self._judge.duplicates()
        found += self._judge.leftovers(ledger, reconciled=reconciled)
        if thoroughly:
            found += self._judge.outputs(ledger, thoroughly=True)
        code, way = played.endings[0].code, f"{self._world.audio_format}, {self._world.destination}"
        self._report(f"{name}: {way}, exit {code}, {played.seconds:.1f} s", found)

    def _play(self, name: str, fault: Fault, scene: Scene, *, commands: int) -> _Played:
        random, world = scene.random, self._world
        moment = self._length.moment(random, self._judge.outstanding())
        if scene.surely:
            moment = Moment(from_work_on=True)
        second_at = random.uniform(0.0, 1.5)
        connections = world.server.connections
        fault.prepare(scene)
        started_at_seconds, clock, working_at_seconds = time.time(), PatientClock(), 0.0
        has_struck, struck_in, struck_at_seconds = fault.from_the_start, "", 0.0
        try:
            scene.nights.append(world.start_night(f"{name}-1", **scene.settings))
            while any(night.is_running for night in scene.nights) or len(scene.nights) < commands:
                time.sleep(_TICK_SECONDS)
                seconds = clock.tick(paused=any(night.is_stopped for night in scene.nights))
                if len(scene.nights) < commands and seconds >= second_at:
                    scene.nights.append(world.start_night(f"{name}-2", **scene.settings))
                if not working_at_seconds and any(path.is_dir() for path in world.staging.iterdir()):
                    working_at_seconds = seconds
                if has_struck:
                    fault.tend(scene)
                elif moment.has_come(seconds, working_at_seconds):
                    if not fault.happened:
                        struck_in, struck_at_seconds = stage(world, scene.nights, connections), seconds
                    has_struck = fault.strike(scene)
                if seconds > _HANG_SECONDS:
                    _give_up(scene.nights)
        except BaseException:
            for night in scene.nights:
                kill_all(night.name)
            raise
        finally:
            fault.undo(scene)
        endings = tuple(night.ending() for night in scene.nights)
        return _Played(endings, struck_in, struck_at_seconds, working_at_seconds, clock.seconds, started_at_seconds)

    def _findings(self, fault: Fault, played: _Played, *, may_replace: bool = False) -> list[Finding]:
        found: list[Finding] = []
        for ending in played.endings:
            self.tally.nights += 1
            self.tally.nights_to_sftp += self._world.destination == "sftp"
            survivors = wait_for_the_end(ending.night, ORPHANS_SECONDS)
            found += judge_ending(ending, fault.expected_codes, survivors)
        ledger = self._judge.ledger()
        found += self._judge.outputs(ledger, may_replace=may_replace)
        codes = {ending.code for ending in played.endings}
        if any(ending.was_killed for ending in played.endings):
            self._tolerated = self._judge.remains(ledger)  # for the next night to clear
        else:
            # A night that could not work, or was ended early, may leave what an earlier killed one left; nothing else.
            worked = codes <= {0, 1}
            found += self._judge.leftovers(ledger, frozenset() if worked else self._tolerated)
            self._tolerated = self._judge.remains(ledger)
        if codes == {0}:
            found += self._judge.completeness(ledger, played.started_at_seconds)
        return found

    def _report(self, line: str, found: list[Finding]) -> None:
        self.tally.published, self.tally.replaced = self._judge.published, self._judge.replaced
        self.tally.recordings_processed = len({directory for directory, _ in self._judge.processed})
        self.tally.versions_processed = len(self._judge.processed)
        new = self.tally.add(found)
        self._say(line)
        for finding in new:
            self._say(f"    {finding}")
        if new and self._kept < _KEPT:
            self._kept += 1
            kept = self._world.keep(f"round-{self._round}")
            self._say(f"    what the round left is in {kept}; repeat with --seed {self._seed} --rounds {self._drawn}")

    def _add_recordings(self, random: Random, count: int) -> list[str]:
        self.tally.recordings_put += count
        return [self._world.sources.add(random).directory for _ in range(count)]

    def _change_recordings(self, random: Random) -> list[str]:
        """New ones, and often an old one that becomes another; gives the names of all of them."""
        sources = self._world.sources
        old = sources.directories()
        names = self._add_recordings(random, random.randint(1, 5))
        if random.random() < 0.4:
            victim = random.choice(old)
            changes: list[Change] = ["rewrite", "grow", "replace"]
            sources.change(victim, random.choice(changes), random)
            names.append(victim)
        return names


def _give_up(nights: Sequence[Night]) -> None:
    for night in nights:
        if night.is_running:
            night.give_up()
