"""What events of all assets are made of: versions, and figures and texts as metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Judged,
)

from audio_compressor.audio.checks import CheckResult
from audio_compressor.defs.names import (
    CODE_VERSION,
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG,
    INPUT_EVENT_TAG,
)
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.texts import escape_line, visible

__all__ = ["Event", "Judged", "Upstream", "bounded", "check_evaluated", "iso", "megabytes", "version_tags"]

Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation

_MOST_CHARACTERS = 2_000


@dataclass(frozen=True)
class Upstream:
    """What a materialization was made from: the asset, its data version, and how far the event log was read then.

    From a later event of that asset with another version, Dagster tells that the materialization is out of date.
    """

    asset: dg.AssetKey
    data_version: str
    event_log_position: int


def version_tags(data_version: str, *upstreams: Upstream) -> Mapping[str, str]:
    """Hand-logged events carry no versions and no provenance unless they are given as tags."""
    tags = {DATA_VERSION_TAG: data_version, CODE_VERSION_TAG: CODE_VERSION}
    for upstream in upstreams:
        name = upstream.asset.to_user_string()
        tags[INPUT_DATA_VERSION_TAG + name] = upstream.data_version
        tags[INPUT_EVENT_TAG + name] = str(upstream.event_log_position)
    return tags


def check_evaluated(
    check: CheckResult, asset: dg.AssetKey, partition: str, target: Judged | None
) -> dg.AssetCheckEvaluation:
    """``target`` is the materialization that it is about."""
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=check.name,
        passed=check.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.severity == "error" else dg.AssetCheckSeverity.WARN,
        description=escape_line(bounded(check.summary)),
        metadata={
            name: bounded(figure) if isinstance(figure, str) else figure for name, figure in check.figures.items()
        },
        partition=partition,
        target_materialization_data=target,
    )


def bounded(text: str) -> str:
    """Texts of other programs and servers are kept with every recording; the whole one is in the run's log.

    Metadata is shown as it is; a description is rendered as Markdown, and escaped as well.
    """
    text = visible(text)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def megabytes(size_bytes: int) -> float:
    return round(to_mb(size_bytes), 3)


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
