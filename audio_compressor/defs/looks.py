"""The files that are being watched until they have settled, kept in the instance for the schedule, the sensor and the
command line alike.
"""

import json
from collections.abc import Mapping

from dagster import DagsterInstance

from audio_compressor.intake.settling import Look, looks_from_json, looks_to_json

_KEY = "audio_compressor/looks"


def read_looks(instance: DagsterInstance) -> Mapping[str, Look]:
    """What cannot be read is forgotten: it costs one more look at each file that has not settled."""
    text = instance.run_storage.get_cursor_values({_KEY}).get(_KEY, "{}")
    try:
        return looks_from_json(json.loads(text))
    except ValueError:
        return {}


def write_looks(instance: DagsterInstance, looks: Mapping[str, Look]) -> None:
    instance.run_storage.set_cursor_values({_KEY: json.dumps(looks_to_json(looks))})
