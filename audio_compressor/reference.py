"""Generates `docs/configuration.md` from the settings, and `docs/tracks-policy.json` and `docs/archive-policy.json`
from the calls that are made: ``python -m audio_compressor.reference`` in a checkout.

Everything about a variable comes from its field, what is allowed included, so that it is written in one place only.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from audio_compressor.archive.cold import policy as cold_policy
from audio_compressor.local_files import write_atomically
from audio_compressor.settings import GROUPS, SAMPLE_RATES_HZ, AudioSettings, LibrarySettings
from audio_compressor.tracks import policy as tracks_policy
from audio_compressor.tracks.layout import DOCUMENTED

PATH = Path(__file__).parents[1] / "docs" / "configuration.md"

_INTRODUCTION = """\
# Configuration

This page is generated from `audio_compressor/settings.py` by `make docs`; edit that file, not this page.

Everything is configured by environment variables. A file named `.env` in the working directory works as well; what the
environment itself sets wins over it, but with `dagster dev` the file wins. A variable that is empty counts as not set,
and upper or lower case makes no difference in choices. MB is 1,000,000 bytes.

A configuration that cannot be used stops the start with one message that names every problem.
`audio-compressor doctor` tries out the rest: connection, host key, destination, bucket, catalogue, free space.
"""
_COLUMNS = ("Variable", "Default", "Allowed", "Meaning")
_DAGSTER_HOME = (
    "`DAGSTER_HOME`",
    "required",
    "an absolute path",
    "Directory where Dagster keeps what was done: runs, partitions and the metadata of every recording. Keep it.",
)
# Refused by every check that refuses anything, so that the check itself tells what it allows.
_PROBES = ("", "(")
# What stands in parentheses is about the probe, and one check with its example serves many paths.
_NOT_FOR_ALL = re.compile(r" \(.*\)$| such as /\S+$")


def configuration_page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    yield _section("Dagster", [_DAGSTER_HOME])
    for group in GROUPS:
        rows = [_row(group, name, field) for name, field in group.model_fields.items()]
        yield _section((group.__doc__ or "").strip(), rows)
        if group is AudioSettings:
            yield _sample_rates()


def _section(heading: str, rows: list[tuple[str, ...]]) -> str:
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    return f"## {heading}\n\n{table}\n"


def _sample_rates() -> str:
    lines = (f"- `{name}`: {', '.join(map(str, rates))}" for name, rates in SAMPLE_RATES_HZ.items())
    return "Sample rates that a format can have, where it cannot have all:\n\n" + "\n".join(lines) + "\n"


def _row(group: type[BaseModel], name: str, field: FieldInfo) -> tuple[str, ...]:
    secret = "**Secret.** " if field.annotation is SecretStr else ""
    return f"`{name.upper()}`", _default(field), _allowed(group, name, field), f"{secret}{field.description}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if default != "" else "empty"


def _allowed(group: type[BaseModel], name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    if field.annotation in {int, float}:
        return _numbers(field)
    return _told_by_its_check(group, name) or "text"


def _numbers(field: FieldInfo) -> str:
    kind = "whole number" if field.annotation is int else "number"
    limits = {type(limit): limit for limit in field.metadata}
    least, above, most = limits.get(Ge), limits.get(Gt), limits.get(Le)
    if least and most:
        return f"{kind}, {least.ge} to {most.le}"
    if least:
        return f"{kind}, {least.ge} or more"
    return f"{kind} above {above.gt}" if above else kind


def _told_by_its_check(group: type[BaseModel], name: str) -> str | None:
    """What the field's own check says is allowed, when it is given something that is not."""
    for probe in _PROBES:
        try:
            group.model_validate({name: probe})
        except ValidationError as error:
            for problem in error.errors():
                if problem["loc"] == (name,) and problem["type"] == "not_allowed":
                    return _NOT_FOR_ALL.sub("", problem["msg"])
    return None


def policies() -> dict[str, str]:
    """What AWS must allow, with the default prefixes, by the names of the files."""
    cold_prefix = LibrarySettings.model_fields["cold_prefix"].default
    return {
        "tracks-policy.json": _json(tracks_policy.least_policy("YOUR-BUCKET", DOCUMENTED)),
        "archive-policy.json": _json(cold_policy.least_policy("YOUR-BUCKET", cold_prefix)),
    }


def _json(policy: dict[str, Any]) -> str:
    return json.dumps(policy, indent=2) + "\n"


if __name__ == "__main__":
    write_atomically(PATH, configuration_page())
    for name, text in policies().items():
        write_atomically(PATH.with_name(name), text)
