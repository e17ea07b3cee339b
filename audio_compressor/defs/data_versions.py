"""What the `dagster/data_version` tag of each event says.

It is the only tag that Dagster indexes by partition, so one query answers for a hundred thousand recordings what was
done from which source file. A version has two parts: what it was made from, and what it is.
"""

from datetime import UTC, datetime
from typing import get_args

from audio_compressor.intake.plan import SkipKind, Success
from audio_compressor.recording import Fingerprint

_ADOPTED = "adopted"
_IMPORTED = "imported"


def of_success(fingerprint: Fingerprint, sha256: str) -> str:
    return f"{fingerprint};{sha256}"


def of_adoption(fingerprint: Fingerprint) -> str:
    return f"{fingerprint};{_ADOPTED}"


def of_import(processed_at: datetime) -> str:
    return f"{_IMPORTED};{processed_at.astimezone(UTC).isoformat()}"


def of_failure(fingerprint: Fingerprint | None) -> str:
    return f"failed;{fingerprint or ''}"


def of_skip(kind: SkipKind, fingerprint: Fingerprint | None) -> str:
    return f"skipped;{kind};{fingerprint or ''}"


def of_raw_track(fingerprint: str, file_name: str) -> str:
    return f"{fingerprint};{file_name}"


def parse_file_name(version: str) -> str:
    """The object's name below RAW_PREFIX."""
    return version.partition(";")[2]


def of_renditions(fingerprint: str, settings_fingerprint: str) -> str:
    """``fingerprint`` is that of the raw object."""
    return f"{fingerprint};{settings_fingerprint}"


def parse_renditions(version: str) -> str:
    """The fingerprint of the raw object."""
    return version.partition(";")[0]


def of_failed_track(status: str, fingerprint: str) -> str:
    return f"{status};{fingerprint}"


def parse_failed_track(version: str) -> str | None:
    """The fingerprint of the raw object that could not be made into renditions, or None where it did not fail."""
    return version.partition(";")[2] if is_failure(version) else None


def of_archived(source_sha256: str, what: str) -> str:
    """``what`` is the SHA-256 of the copy, or what became of it."""
    return f"{source_sha256};{what}"


def of_not_archived(verdict: str, size_bytes: int, modified_ns: int) -> str:
    return f"{verdict};{size_bytes}-{modified_ns}"


def parse_success(version: str) -> Success | None:
    """None for a version that is not ours."""
    made_from, _, what = version.partition(";")
    try:
        if made_from == _IMPORTED:
            return Success(None, datetime.fromisoformat(what).timestamp())
        return Success(Fingerprint.parse(made_from), 0.0)
    except ValueError:
        return None


def is_failure(version: str) -> bool:
    return version.startswith("failed;")


def parse_failure(version: str) -> Fingerprint | None:
    """The source file that could not be processed, where that is known."""
    return _fingerprint(version.partition(";")[2])


def parse_skip(version: str) -> tuple[SkipKind, Fingerprint | None] | None:
    for kind in get_args(SkipKind):
        prefix = f"skipped;{kind};"
        if version.startswith(prefix):
            return kind, _fingerprint(version.removeprefix(prefix))
    return None


def parse_observed(version: str) -> Fingerprint | None:
    """The source file, or None for a version that is not ours."""
    return _fingerprint(version)


def _fingerprint(text: str) -> Fingerprint | None:
    try:
        return Fingerprint.parse(text)
    except ValueError:
        return None
