"""What asset checks have found before."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import DagsterInstance
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

_EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def last_figures(instance: DagsterInstance, check: dg.AssetCheckKey) -> Mapping[str, Any]:
    """The metadata of the last evaluation, whatever has been planned or broken off since; empty before the first."""
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=1, status=_EVALUATED)
    found = records[0].evaluation if records else None
    return {key: value.value for key, value in found.metadata.items()} if found else {}
