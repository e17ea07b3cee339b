"""What there is to do: what waits, compared with what is known, each track with its reason."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from audio_compressor.catalog.catalog import Catalog
from audio_compressor.catalog.intake import why_refused
from audio_compressor.catalog.rows import Upload
from audio_compressor.texts import visible
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.raw import RawListing
from audio_compressor.tracks.track import Refused, Track, why_no_track

_EXAMPLES = 5
# Uploads of tracks that are being worked on keep their place in the queue. So many of them do not hold up the others.
LOOK_AHEAD = 1000


@dataclass(frozen=True)
class Waiting:
    """A track to make now; ``upload`` is the row that asks for it, where there is a catalogue."""

    track: Track
    reason: str
    upload: Upload | None = None


@dataclass(frozen=True)
class TrackPlan:
    """``failed`` are tracks that failed before, with the reason to leave them alone; ``refused`` are names from outside
    that cannot become tracks; ``in_flight`` are the keys that wait for a run that works on them.
    """

    waiting: tuple[Waiting, ...] = ()
    failed: tuple[Refused, ...] = ()
    refused: tuple[Refused, ...] = ()
    in_flight: tuple[str, ...] = ()
    done: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(item.track.key for item in self.waiting)

    def first(self, most: int) -> "TrackPlan":
        """With the first so many of those that wait; the others are found by the next look."""
        return replace(self, waiting=self.waiting[:most])


@dataclass(frozen=True)
class Known:
    """What is known of earlier runs: of which version of its object (see `RawObject.fingerprint`) each track was last
    made, and of which it failed; and the keys that runs are working on.
    """

    successes: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    in_flight: Collection[str] = ()


def plan_listing(listing: RawListing, known: Known, *, again: bool = False) -> TrackPlan:
    """From what lies in the bucket; ``again``: what failed is tried again."""
    waiting: list[Waiting] = []
    failed: list[Refused] = []
    in_flight: list[str] = []
    done = 0
    for raw in listing.objects:
        key, fingerprint = raw.track.key, raw.fingerprint
        if key in known.in_flight:
            in_flight.append(key)
        elif known.failures.get(key) == fingerprint and not again:
            failed.append(Refused(raw.track.file_name, "it failed before, and has not changed since"))
        elif known.failures.get(key) == fingerprint:
            waiting.append(Waiting(raw.track, "it failed before"))
        elif known.successes.get(key) == fingerprint:
            done += 1
        else:
            waiting.append(Waiting(raw.track, "changed" if key in known.successes else "new"))
    return TrackPlan(tuple(waiting), tuple(failed), listing.refused, tuple(in_flight), done)


def plan_uploads(catalog: Catalog, most: int, in_flight: Collection[str], *, again: bool = False) -> TrackPlan:
    """From the table of uploads, ``most`` at a time; what cannot become a track has the status ``failed`` afterwards.

    Raises:
        AudioCompressorError: the database is away.
    """
    busy = {claim.track_key for claim in catalog.claims()} | set(in_flight)
    waiting: dict[str, Waiting] = {}
    refused: list[Refused] = []
    held_up: list[str] = []
    for upload, reason in _uploads(catalog, most, again=again):
        if len(waiting) == most:
            break
        if why_not := why_refused(upload):
            if catalog.refuse(upload.upload_id, why_not):
                refused.append(Refused(visible(upload.file_name), why_not))
            continue
        track = Track(upload.file_name)
        if track.key in busy:
            held_up.append(track.key)
        else:
            waiting.setdefault(track.key, Waiting(track, reason, upload))
    return TrackPlan(tuple(waiting.values()), refused=tuple(refused), in_flight=tuple(dict.fromkeys(held_up)))


def _uploads(catalog: Catalog, most: int, *, again: bool) -> Iterator[tuple[Upload, str]]:
    for upload in catalog.pending(most + LOOK_AHEAD):
        yield upload, "its upload waits"
    if again:
        for upload in catalog.failed(most + LOOK_AHEAD):
            yield upload, "its upload failed before"


def plan_named(names: Sequence[str], bucket: TrackBucket, in_flight: Collection[str]) -> TrackPlan:
    """Tracks that somebody names, by key or by the name of the file, whatever is known of them.

    Raises:
        AudioCompressorError: the bucket cannot be looked at.
    """
    waiting: dict[str, Waiting] = {}
    refused: list[Refused] = []
    held_up: list[str] = []
    for name in dict.fromkeys(names):
        if reason := why_no_track(name):
            refused.append(Refused(visible(name), reason))
            continue
        exact = bucket.find_raw(Track(name))
        found = (exact,) if exact else bucket.find_by_key(name)
        if not found:
            refused.append(Refused(name, f"there is no such track below {bucket.prefixes.raw}"))
        elif found[0].track.key in in_flight:
            held_up.append(found[0].track.key)
        else:
            waiting.setdefault(found[0].track.key, Waiting(found[0].track, "asked for"))
    return TrackPlan(tuple(waiting.values()), refused=tuple(refused), in_flight=tuple(held_up))


def explain_plan(plan: TrackPlan) -> str:
    """A line for each kind, with the first few names; a person reads this in the Dagster UI or a terminal."""
    return "\n".join(_lines(plan))


def _lines(plan: TrackPlan) -> Iterator[str]:
    done = f", {plan.done} done" if plan.done else ""
    yield f"{len(plan.waiting)} {'track' if len(plan.waiting) == 1 else 'tracks'} to make{done}."
    reasons = dict.fromkeys(item.reason for item in plan.waiting)
    for reason in reasons:
        names = _some([item.track.key for item in plan.waiting if item.reason == reason])
        yield f"To make ({reason}): {names}."
    if plan.in_flight:
        yield f"In work: {_some(plan.in_flight)}."
    if plan.failed:
        yield f"Left alone ({plan.failed[0].reason}): {_some([item.file_name for item in plan.failed])}."
    for item in plan.refused[:_EXAMPLES]:
        yield f"Refused {item.file_name}: {item.reason}."
    if len(plan.refused) > _EXAMPLES:
        yield f"Refused {len(plan.refused) - _EXAMPLES} more."


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(visible(name).replace("\n", " ") for name in names[:_EXAMPLES]) + more
