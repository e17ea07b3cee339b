"""Objects in storage classes from which they have to be fetched up before they can be read, which takes hours.

How long: Amazon S3 user guide, "Understanding archive retrieval options", the Standard tier.
"""

from typing import Any

from audio_compressor.archive.cold.proof import Held

# For so long what was thawed can be read, and is paid for twice.
THAWED_DAYS = 7

_DEEP = {"DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS"}


def restore_request(held: Held) -> dict[str, Any]:
    """The RestoreRequest of boto3. What INTELLIGENT_TIERING has archived comes back to stay, and takes no days."""
    days = {} if held.archive_status else {"Days": THAWED_DAYS}
    return {**days, "GlacierJobParameters": {"Tier": "Standard"}}


def explain_thawing(uri: str, held: Held, *, was_asked_before: bool) -> str:
    place = held.archive_status or held.storage_class
    hours = "up to 12 hours" if place in _DEEP else "3 to 5 hours"
    asked = "was asked for before, and takes" if was_asked_before else "is asked for now, and takes"
    return f"{uri} lies in {place} and has to be thawed before it can be read. That {asked} {hours}; try again then"
