"""What stands for published results that were aged, so that they are not looked for under their old names."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from audio_compressor.archive.collection import RESULTS
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.records import Record, Records
from audio_compressor.errors import AudioCompressorError
from audio_compressor.receipts import Receipt
from audio_compressor.reporting.results import Result


class AgedResults:
    """Of the local directory of results."""

    def __init__(self, directory: Path) -> None:
        self._layout = Layout(directory, collection=RESULTS)
        self._records = Records(self._layout)

    def standing(self, receipt: Receipt) -> Receipt | None:
        """The same receipt, for a result that was not aged; that of the copy that stands for it; or None, where it is
        in cold storage or was deleted, as its tier says.
        """
        record = self._record(receipt.uri)
        if record is not None and record.deleted_at is not None and not receipt.path.exists():
            return None
        if record is None or record.original is None or receipt.sha256 not in {None, record.original.sha256}:
            return receipt  # or what was published since
        uri = self._uri(record)
        if uri is None or record.copy is None:
            return None
        return replace(
            receipt,
            uri=uri,
            sha256=record.copy.sha256,
            duration_seconds=record.original.duration_seconds,
            size_mb=record.copy.size_bytes / 1e6,
        )

    def where_they_are(self, results: Iterable[Result]) -> Iterator[Result]:
        """The same results, with the address of the copy where that stands for one; without those of which nothing is
        in the directory any more, as their tier says.
        """
        for result in results:
            record = self._record(result.uri or "")
            uri = self._uri(record) if record else result.uri
            if record is None or uri is not None:
                yield replace(result, uri=uri)

    def _record(self, uri: str) -> Record | None:
        """Of a file in this directory that was aged."""
        parts = urlsplit(uri)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or path.parent != self._layout.root:
            return None
        try:
            record = self._records.read(path.name)
        except AudioCompressorError:
            return None  # and its file will be missing, which is what has to be looked into
        return record if record and (record.copy or record.deleted_at) else None

    def _uri(self, record: Record) -> str | None:
        """Of what stands for it in the directory."""
        if record.deleted_at is not None or record.copy is None or record.copy.place != "library":
            return None
        return (self._layout.root / record.copy.path).as_uri()
