"""What becomes of a recording at which age: tiers, from a file or by default.

The document's ``compression_config.json`` is a policy as it stands; ``tiers`` say more than it can.
"""

import json
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from audio_compressor.archive.matching import EVERYTHING, Matcher, why_no_pattern
from audio_compressor.errors import ConfigurationError
from audio_compressor.local_files import local_errors
from audio_compressor.settings import bits_per_second
from audio_compressor.texts import has_unseen

Kind = Literal["keep", "opus", "cold", "delete"]

# RFC 6716, section 2: 6 to 510 kbit/s.
_LEAST_KBPS, _MOST_KBPS = 6, 510
_STORAGE_CLASS = re.compile(r"[A-Z][A-Z_]*")
_MOST_POLICY_BYTES = 1_000_000


@dataclass(frozen=True)
class Action:
    """``bitrate_kbps`` is for ``opus``, ``storage_class`` (one of S3's) for ``cold``."""

    kind: Kind
    bitrate_kbps: float = 0.0
    storage_class: str = ""

    def __str__(self) -> str:
        if self.kind == "opus":
            return f"Opus {self.bitrate_kbps:g}k"
        return f"cold storage ({self.storage_class})" if self.kind == "cold" else self.kind


KEEP = Action("keep")


@dataclass(frozen=True)
class Tier:
    """From ``after_days`` on, ``action`` for what ``matcher`` matches."""

    after_days: float
    action: Action
    matcher: Matcher = EVERYTHING
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"{self.action} from {self.after_days:g} days"


@dataclass(frozen=True)
class Policy:
    """``notes`` are sentences about what its file says and what does not hold here."""

    tiers: tuple[Tier, ...]
    delete_originals: bool = True
    drop_video: bool = False
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def general_tiers(self) -> tuple[Tier, ...]:
        """Those for all recordings."""
        return tuple(tier for tier in self.tiers if tier.matcher.is_general)

    @cached_property
    def naming_tiers(self) -> tuple[Tier, ...]:
        """Those that name recordings."""
        return tuple(tier for tier in self.tiers if not tier.matcher.is_general)


def default_policy(*, has_cold_storage: bool) -> Policy:
    """The document's: 7 days untouched, then Opus 96k, from 30 days Opus 64k or cold storage, where there is one."""
    old = Action("cold", storage_class="STANDARD_IA") if has_cold_storage else Action("opus", 64)
    return Policy((Tier(0, KEEP), Tier(7, Action("opus", 96)), Tier(30, old)))


def load_policy(path: Path) -> Policy:
    """
    Raises:
        ConfigurationError: it is no policy; names everything that is wrong with it.
        AudioCompressorError: the file cannot be read.
    """
    with local_errors(path), path.open("rb") as file:
        data = file.read(_MOST_POLICY_BYTES + 1)
    if len(data) > _MOST_POLICY_BYTES:
        raise ConfigurationError([f"{path} has more than {_MOST_POLICY_BYTES:,} bytes; it is no policy"])
    try:
        parsed = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"{path} is no JSON: {error}"]) from None
    return parse_policy(parsed, str(path))


def parse_policy(data: object, name: str) -> Policy:
    """A policy from the parsed content of the file ``name``. Raises ConfigurationError."""
    problems = list(_contradictions(data))
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        problems = [*(_problem(item) for item in error.errors(include_url=False)), *problems]
    if problems:
        raise ConfigurationError([f"{name}: {problem}" for problem in problems])
    if file.tiers is None:
        tiers = [Tier(0, KEEP), Tier(file.age_threshold_days, Action("opus", _kbps(file.target_bitrate)))]
    else:
        tiers = [_tier(tier) for tier in file.tiers]
    return Policy(tuple(tiers), file.delete_originals, file.drop_video, file.dry_run, tuple(_notes(file)))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _listed(value: object) -> object:
    """What may be one or several, as a tuple. An empty list would match everything, as if it were left out."""
    if value == []:
        raise ValueError("is an empty list, which names nothing; leave it out if everything is meant")
    return tuple(value) if isinstance(value, list) else (value,)


def _pattern(path: str) -> str:
    if why := why_no_pattern(path):
        raise ValueError(f"matches nothing: {why}")
    return path


def _bitrate(text: str) -> str:
    if not _LEAST_KBPS <= _kbps(text) <= _MOST_KBPS:
        raise ValueError(f"should be from {_LEAST_KBPS}k to {_MOST_KBPS}k")
    return text


def _name(text: str) -> str:
    if has_unseen(text):
        raise ValueError("holds control or invisible characters")
    return text


def _scalar(value: object) -> object:
    if not isinstance(value, str | bool | int | float | None) or value != value:  # the last is so for NaN alone
        raise ValueError("should be a text, a number, true, false or null, or a list of these")
    return value


_Several = BeforeValidator(_listed)
_Values = Annotated[tuple[Annotated[Any, AfterValidator(_scalar)], ...], _Several]
_Days = Annotated[float, Field(ge=0, le=36_500)]


class _Match(_Strict):
    path: Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], _Several] = ()
    language: Annotated[tuple[str, ...], _Several] = ()
    metadata: dict[str, _Values] = {}


class _Tier(_Strict):
    after_days: _Days
    action: Kind
    bitrate: str = Field("", validate_default=True)
    storage_class: str = Field("", validate_default=True)
    match: _Match = _Match()
    name: Annotated[str, AfterValidator(_name)] = ""

    @field_validator("bitrate")
    @classmethod
    def _is_for_opus(cls, value: str, info: ValidationInfo) -> str:
        action = info.data.get("action", "opus")
        if action == "opus" and not value and "action" in info.data:
            raise ValueError('is missing, such as "64k"')
        if action != "opus" and value:
            raise ValueError(f"means nothing for the action '{action}'")
        return _bitrate(value) if value else value

    @field_validator("storage_class")
    @classmethod
    def _is_for_cold_storage(cls, value: str, info: ValidationInfo) -> str:
        action = info.data.get("action", "")
        if action == "cold" and not _STORAGE_CLASS.fullmatch(value):
            raise ValueError("should be one of S3's, such as STANDARD_IA, GLACIER_IR or DEEP_ARCHIVE")
        if action not in {"cold", ""} and value:
            raise ValueError(f"means nothing for the action '{action}'")
        return value


class _File(_Strict):
    """The first ones are the document's."""

    age_threshold_days: _Days = 7
    target_bitrate: Annotated[str, AfterValidator(_bitrate)] = "96k"
    target_format: Literal["opus"] = "opus"
    delete_originals: bool = True
    verify_before_delete: bool = True
    log_file: str = ""
    dry_run: bool = False
    tiers: list[_Tier] | None = None
    drop_video: bool = False

    @field_validator("tiers")
    @classmethod
    def _has_one(cls, tiers: list[_Tier] | None) -> list[_Tier] | None:
        if tiers == []:
            raise ValueError("is empty; leave it out for the usual ones")
        return tiers


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two that say different things, nobody knows which was meant."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' is there twice")
    return fields


def _contradictions(data: object) -> Iterator[str]:
    """In what the file says, whatever else is wrong with it."""
    tiers = data.get("tiers") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(tiers, list):
        return
    for field in ("age_threshold_days", "target_bitrate"):
        if field in data:
            yield f"'{field}' says what 'tiers' say, too; leave it out"
    if data.get("delete_originals") is False and any(
        isinstance(tier, Mapping) and tier.get("action") == "delete" for tier in tiers
    ):
        yield "'delete_originals' is false, and a tier deletes: which of them is meant?"


def _notes(file: _File) -> Sequence[str]:
    return [
        *(["'verify_before_delete' is false; nothing is deleted unverified here"] * (not file.verify_before_delete)),
        *(["'log_file' is not written; Dagster keeps the log of each run"] * bool(file.log_file)),
        *(["'dry_run' is true: nothing is done until it is false"] * file.dry_run),
    ]


def _tier(tier: _Tier) -> Tier:
    action = Action(tier.action, _kbps(tier.bitrate) if tier.bitrate else 0.0, tier.storage_class)
    return Tier(tier.after_days, action, Matcher(tier.match.path, tier.match.language, tier.match.metadata), tier.name)


def _kbps(bitrate: str) -> float:
    """0 for what is no bitrate."""
    try:
        return bits_per_second(bitrate) / 1000
    except ValueError:
        return 0.0


def _problem(item: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a sentence: where it is, what is wrong, and what is there."""
    place = list(item["loc"])
    where = f"tier {place[1] + 1}: " if place[:1] == ["tiers"] and len(place) > 1 else ""
    field = ".".join(str(part) for part in (place[2:] if where else place))
    subject = f"{where}'{field}'" if field else f"{where}it"
    if item["type"] == "extra_forbidden":
        return f"{subject} is no part of a policy; check its spelling"
    if item["type"] == "missing":
        return f"{subject} is missing"
    if item["type"] == "value_error":
        sentence = str(item["ctx"]["error"])
    elif item["type"] == "model_type":
        sentence = "should be an object in braces"
    else:
        sentence = item["msg"].replace("Input should", "should")
    if item["input"] in ("", []):
        return f"{subject} {sentence}"
    return f"{subject} {sentence}; it is {reprlib.repr(item['input'])}"
