"""What the Dagster instance says was done: states, the latest materialization of each recording, unfinished runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg

from audio_compressor.defs.names import COMPRESSED_AUDIO
from audio_compressor_tests.fixtures.studio import metadata_of, partition_states

GREEN = "MATERIALIZED"
_GOING_ON = [dg.DagsterRunStatus(name) for name in ("QUEUED", "STARTING", "STARTED", "CANCELING")]


@dataclass(frozen=True)
class Receipt:
    """What the latest materialization of ``compressed_audio`` claims."""

    path: Path
    sha256: str
    source_sha256: str
    source_fingerprint: str


@dataclass(frozen=True)
class Ledger:
    """``states`` of all partitions, as the UI shows them; ``unfinished_runs`` as "id, state"."""

    states: Mapping[str, str]
    receipts: Mapping[str, Receipt]
    unfinished_runs: tuple[str, ...]

    def is_green(self, directory: str) -> bool:
        return self.states.get(directory) == GREEN


class LedgerReader:
    """Remembers the receipts that it has read, by the position of their events."""

    def __init__(self, home: Path, server_root: Path) -> None:
        self._home = home
        self._server_root = server_root
        self._known: dict[str, tuple[int, Receipt]] = {}

    def read(self) -> Ledger:
        with open_home(self._home) as instance:
            latest = instance.event_log_storage.get_latest_storage_id_by_partition(
                COMPRESSED_AUDIO, dg.DagsterEventType.ASSET_MATERIALIZATION
            )
            for key, position in latest.items():
                if self._known.get(key, (0, None))[0] != position:
                    self._known[key] = position, self._receipt(metadata_of(instance, COMPRESSED_AUDIO, key))
            runs = instance.get_runs(dg.RunsFilter(statuses=_GOING_ON))
            return Ledger(
                states=partition_states(instance),
                receipts={key: self._known[key][1] for key in latest},
                unfinished_runs=tuple(f"{run.run_id}, {run.status.value}" for run in runs),
            )

    def _receipt(self, metadata: Mapping[str, object]) -> Receipt:
        """What is not there is empty, and fits no file and no source."""
        uri = urlsplit(str(metadata.get("uri", "")))
        path = Path(unquote(uri.path))
        if uri.scheme == "sftp":
            path = self._server_root / path.relative_to("/")
        claims = (str(metadata.get(name, "")) for name in ("sha256", "source_sha256", "source_fingerprint"))
        return Receipt(path, *claims)


@contextmanager
def open_home(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance below this directory."""
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(home)  # the shipped dagster.yaml asks for it
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before
