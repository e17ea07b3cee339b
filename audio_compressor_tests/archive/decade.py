"""Years of a policy on a simulated clock: recordings come in, grow old, are held and released, refuse and fail.

    python -m audio_compressor_tests.archive.decade [--seed N]

plans every week of ten years over ten thousand recordings, does what is due to simulated files, and looks at each of
them whether it was right: by rules of its own, which are written out below and know nothing of tiers and matchers.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.model import Hold, LibraryFile, Stamp, Standing
from audio_compressor.archive.plan import Decision, Plan, make_plan
from audio_compressor.archive.policy import Action, Kind, Policy, Tier

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
SETTLE_SECONDS = 3600.0
TRASH_DAYS = 7

OPUS_96, OPUS_64, OPUS_24 = Action("opus", 96), Action("opus", 64), Action("opus", 24)
COLD, DELETE = Action("cold", storage_class="GLACIER_IR"), Action("delete")
# What is asked for, as an operator would write it ...
POLICY = Policy(
    (
        Tier(0, Action("keep")),
        Tier(7, OPUS_96),
        Tier(30, OPUS_64),
        Tier(180, COLD),
        Tier(540, DELETE),
        Tier(0, Action("keep"), Matcher(("interviews/**",))),
        Tier(60, OPUS_64, Matcher(("interviews",))),
        Tier(3, OPUS_24, Matcher(languages=("fr",))),
        Tier(90, DELETE, Matcher(metadata={"consent.until": (90,)})),
    )
)
# ... and from which day on what may be done with a recording, by hand.
USUAL = {OPUS_96: 7, OPUS_64: 30, COLD: 180, DELETE: 540}
# Each is less than the one before it: the original, and what comes after it.
_ORDER: tuple[object, ...] = ("original", OPUS_96, OPUS_64, OPUS_24, COLD, DELETE)


@dataclass
class Recording:
    """``copies`` is where whole copies of it are: library, trash, cold storage; as often as there are."""

    file: LibraryFile
    kind: str
    seconds: float
    copies: Counter[str] = field(default_factory=lambda: Counter({"library": 1}))
    stands_at: object = "original"
    done: list[Action] = field(default_factory=list)
    trouble_until: datetime = START

    @property
    def has_opus_copy(self) -> bool:
        return any(action.kind == "opus" for action in self.done)

    @property
    def may(self) -> dict[Action, int]:
        """From which day on what may be done with it."""
        if self.kind == "interview":
            return {OPUS_64: 60}
        if self.kind == "French":
            return {OPUS_24: 3}
        return {DELETE: 90} if self.kind == "with consent" else USUAL


@dataclass(frozen=True)
class HeldUntil:
    """``is_meant`` says by itself what the hold's matcher says."""

    until: datetime
    hold: Hold
    is_meant: Callable[[Recording], bool]


@dataclass
class Tally:
    """What happened in a simulation."""

    recordings: int = 0
    plans: int = 0
    decisions: int = 0
    largest_plan: int = 0
    actions: Counter[Kind] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    holds: int = 0
    refused: int = 0
    failed: int = 0
    purged: int = 0
    checks: int = 0
    days: int = 0
    saved_bytes: int = 0
    seconds: float = 0.0

    def lines(self) -> list[str]:
        actions = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.actions.items()))
        verdicts = ", ".join(f"{verdict} {count:,}" for verdict, count in sorted(self.verdicts.items()))
        return [
            f"recordings         {self.recordings:,}, over {self.days:,} days",
            f"plans made         {self.plans:,}, the largest of {self.largest_plan:,} recordings",
            f"decisions          {self.decisions:,} ({verdicts})",
            f"actions            {actions}; saved {self.saved_bytes / 1e9:,.1f} GB",
            f"came to nothing    {self.refused:,} refused for good, {self.failed:,} failed and done later",
            f"holds              {self.holds:,} placed and released",
            f"trash              {self.purged:,} files removed after {TRASH_DAYS} days",
            f"invariant checks   {self.checks:,}, none failed",
            f"seconds            {self.seconds:.1f}",
        ]


class Decade:
    """A library, its clock, and what goes wrong in it."""

    def __init__(self, seed: int, recordings: int, years: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chance, and no secret
        self._end = START + timedelta(days=365 * years)
        self._to_come = sorted(
            (self._recorded(number, 365 * years) for number in range(recordings)),
            key=lambda recording: recording.file.standing.modified_at if recording.file.standing else START,
            reverse=True,
        )
        self._there: dict[str, Recording] = {}
        self._trash: list[tuple[datetime, Recording, str]] = []
        self._held: list[HeldUntil] = []
        self.tally = Tally(days=365 * years)

    def live(self, days_between: int) -> None:
        now = START
        while now < self._end:
            now += timedelta(days=days_between)
            self._comes_in(now)
            self._purges(now)
            self._changes_holds(now, days_between)
            self._gets_into_trouble(now)
            self._ages(now)

    def _recorded(self, number: int, days: int) -> Recording:
        chance = self._random
        came_at = START + timedelta(days=chance.uniform(0, days))
        kind = chance.choices(("usual", "interview", "French", "with consent"), (80, 5, 10, 5))[0]
        fields: dict[str, object] = {"language": "FR" if kind == "French" else chance.choice(("de", "en", None))}
        if kind == "with consent":
            fields["consent"] = {"until": 90}
        directory = "interviews/" if kind == "interview" else ""
        key = f"{directory}{came_at:%Y/%m}/{number}.webm"
        seconds = chance.expovariate(1 / 1800) + 1
        size_bytes = round(seconds * chance.uniform(4_000, 20_000))  # 32 to 160 kbit/s
        stamp = Stamp(1, number, size_bytes, round(came_at.timestamp() * 1e9))
        # Some clocks are wrong: it says it is older than it is, or from a time that is to come.
        is_odd = chance.random() < 0.02
        recorded_at = came_at + timedelta(days=chance.uniform(-700, 700) if is_odd else 0)
        standing = Standing("library", key, size_bytes, came_at, stamp=stamp)
        file = LibraryFile(key, recorded_at, "its name", standing, fields, size_bytes, stamp, seconds)
        return Recording(file, kind, seconds)

    # -- what happens by itself

    def _comes_in(self, now: datetime) -> None:
        while self._to_come:
            standing = self._to_come[-1].file.standing
            if standing is None or standing.modified_at > now:
                return
            recording = self._to_come.pop()
            self._there[recording.file.key] = recording
            self.tally.recordings += 1

    def _purges(self, now: datetime) -> None:
        kept = []
        for until, recording, what in self._trash:
            if until > now:
                kept.append((until, recording, what))
                continue
            recording.copies[what] -= 1
            self.tally.purged += what == "trash"
            self._require_a_copy(recording)
        self._trash = kept

    def _changes_holds(self, now: datetime, days_between: int) -> None:
        self._held = [held for held in self._held if held.until > now]
        if self._random.random() > 0.01 * days_between:
            return
        until = now + timedelta(days=self._random.uniform(7, 200))
        year = f"{now - timedelta(days=self._random.uniform(0, 500)):%Y}"
        kind = self._random.choice(("year", "language", "consent", "copies"))
        if kind == "year":
            matcher = Matcher((f"./{year}",))
            self._hold(until, matcher, lambda recording: recording.file.key.startswith(f"{year}/"))
        elif kind == "language":
            matcher = Matcher(languages=("fr",))
            self._hold(until, matcher, lambda recording: recording.kind == "French")
        elif kind == "consent":
            matcher = Matcher(metadata={"consent.until": (90,)})
            self._hold(until, matcher, lambda recording: recording.kind == "with consent")
        else:
            matcher = Matcher(("*7.opus",))
            self._hold(
                until,
                matcher,
                lambda recording: recording.file.key.endswith("7.webm") and recording.has_opus_copy,
            )

    def _hold(self, until: datetime, matcher: Matcher, is_meant: Callable[[Recording], bool]) -> None:
        self.tally.holds += 1
        self._held.append(HeldUntil(until, Hold(f"{self.tally.holds:08x}", matcher, "", until), is_meant))

    def _gets_into_trouble(self, now: datetime) -> None:
        keys = list(self._there)
        for key in self._random.sample(keys, len(keys) // 500):
            recording = self._there[key]
            recording.trouble_until = now + timedelta(days=self._random.uniform(7, 200))
            recording.file = replace(recording.file, trouble="its document is not JSON")
        for recording in self._there.values():
            if recording.file.trouble and recording.trouble_until <= now:
                recording.file = replace(recording.file, trouble=None)

    # -- what is done

    def _ages(self, now: datetime) -> None:
        plan = self._planned(now)
        before_bytes = self._size_bytes()
        self._require(sum(each.file.size_bytes for each in plan.decisions) == before_bytes, "totals differ")
        saved_bytes, failed = 0, set()
        for decision in plan.due:
            recording = self._there[decision.file.key]
            self._require_right(decision, recording, now)
            if self._random.random() < 0.02:
                self.tally.failed += 1
                failed.add(decision.file.key)
                continue
            saved_bytes += self._does(decision, recording, now)
        self._require(self._size_bytes() == before_bytes - saved_bytes, "what was saved is not what is less")
        self.tally.saved_bytes += saved_bytes
        again = make_plan(now, [recording.file for recording in self._touched(plan)], POLICY, (), SETTLE_SECONDS)
        self._require({each.file.key for each in again.due} == failed, "what was done is due again, or was not done")

    def _planned(self, now: datetime) -> Plan:
        files = [recording.file for recording in self._there.values()]
        plan = make_plan(now, files, POLICY, [held.hold for held in self._held], SETTLE_SECONDS)
        self._require(len(plan.decisions) == len(files), "a recording has no decision")
        self.tally.plans += 1
        self.tally.decisions += len(files)
        self.tally.largest_plan = max(self.tally.largest_plan, len(files))
        self.tally.verdicts.update(decision.verdict for decision in plan.decisions)
        return plan

    def _touched(self, plan: Plan) -> list[Recording]:
        return [self._there[each.file.key] for each in plan.due if each.file.key in self._there]

    def _does(self, decision: Decision, recording: Recording, now: datetime) -> int:
        """Do it, and return how many bytes it takes less."""
        file, action = recording.file, decision.action
        standing = file.standing
        if action is None or standing is None:
            raise AssertionError("due, and nothing to do")
        before_bytes = file.size_bytes
        if action.kind == "opus":
            new_bytes = round(recording.seconds * action.bitrate_kbps * 125 * self._random.uniform(0.9, 1.02))
            if new_bytes >= standing.size_bytes:
                self.tally.refused += 1
                recording.file = replace(file, refusals={**file.refusals, str(action): "it would be larger"})
                return 0
            self._throw_away(recording, "library", now)
            recording.copies["library"] += 1
            stamp = Stamp(
                1, self._random.getrandbits(60), new_bytes, standing.stamp.modified_ns if standing.stamp else 0
            )
            path = f"{file.key.removesuffix('.webm')}.opus"
            new = Standing("library", path, new_bytes, now, action.bitrate_kbps, f"{stamp.inode:064x}", stamp)
            recording.file = replace(file, standing=new, original_stamp=None, refusals={})
        elif action.kind == "cold":
            self._throw_away(recording, "library", now)
            recording.copies["cold"] += 1
            new = replace(standing, place="cold", stamp=None, bitrate_kbps=standing.bitrate_kbps or 128.0)
            recording.file = replace(file, standing=new, original_stamp=None, refusals={})
        else:
            self._throw_away(recording, "cold" if standing.place == "cold" else "library", now)
            del self._there[file.key]
        self.tally.actions[action.kind] += 1
        self._require(_ORDER.index(action) > _ORDER.index(recording.stands_at), "it went back to a larger tier")
        self._require(action not in recording.done, "it was done twice")
        recording.done.append(action)
        recording.stands_at = action
        self._require_a_copy(recording)
        return before_bytes - (0 if action.kind == "delete" else recording.file.size_bytes)

    def _throw_away(self, recording: Recording, what: str, now: datetime) -> None:
        """What lies in the library goes to the trash; what is in cold storage goes when that is emptied."""
        if what == "library":
            recording.copies["library"] -= 1
            recording.copies["trash"] += 1
            what = "trash"
        self._trash.append((now + timedelta(days=TRASH_DAYS), recording, what))

    # -- what always has to be true

    def _require_right(self, decision: Decision, recording: Recording, now: datetime) -> None:
        action = decision.action
        age_days = (now - recording.file.recorded_at).total_seconds() / 86_400
        self._require(action in recording.may, f"{action} is not for {recording.kind}")
        from_day = recording.may[action] if action else 0
        self._require(age_days >= from_day, f"{action} at {age_days} days")
        later = [each for each, day in recording.may.items() if from_day < day <= age_days]
        self._require(not later, f"{action}, and {later} is due")
        self._require(not any(held.is_meant(recording) for held in self._held), "it is held")
        self._require(recording.trouble_until <= now, "it is in trouble")
        stamp = recording.file.original_stamp
        is_settled = stamp is None or now.timestamp() - stamp.modified_ns / 1e9 >= SETTLE_SECONDS
        self._require(is_settled, "it may still be written")
        self._require(str(action) not in recording.file.refusals, "it has refused already")

    def _require_a_copy(self, recording: Recording) -> None:
        self._require(min(recording.copies.values()) >= 0, "a copy was removed that was not there")
        may_be_gone = DELETE in recording.done
        self._require(may_be_gone or recording.copies.total() >= 1, f"no copy of {recording.file.key} exists")

    def _require(self, is_so: bool, otherwise: str) -> None:
        self.tally.checks += 1
        if not is_so:
            raise AssertionError(otherwise)

    def _size_bytes(self) -> int:
        return sum(recording.file.size_bytes for recording in self._there.values())


def simulate(seed: int = 1, recordings: int = 10_000, years: int = 10, days_between: int = 7) -> Tally:
    """Raises AssertionError: something was done that should not have been."""
    started_at_seconds = time.perf_counter()
    decade = Decade(seed, recordings, years)
    decade.live(days_between)
    decade.tally.seconds = time.perf_counter() - started_at_seconds
    return decade.tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    print("\n".join(simulate(parser.parse_args().seed).lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
