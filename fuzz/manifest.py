"""The import of an old manifest.json (`audio_compressor.reporting.manifest.parse_manifest`)."""

import json
import math
from datetime import UTC

from audio_compressor.errors import ManifestError
from audio_compressor.recording import why_unusable
from audio_compressor.reporting.manifest import parse_manifest
from audio_compressor.reporting.results import STATUSES
from fuzz.command import run_target
from fuzz.harness import Target

_ENTRY = {
    "directory": "10-17-25",
    "processed_at": "2025-11-05T02:01:23Z",
    "original_size_mb": 156.3,
    "compressed_size_mb": 8.2,
    "compression_ratio": 19.1,
    "status": "success",
    "storage_location": "sftp",
}
_MANIFEST = {"last_run": "2025-11-05T02:01:23Z", "total_processed": 1, "total_failed": 0, "total_space_saved_gb": 0.1}
_SEEDS = [
    json.dumps({**_MANIFEST, "directories": entries}, indent=indent).encode()
    for indent in (None, 2)
    for entries in (
        [],
        [_ENTRY],
        [_ENTRY, {**_ENTRY, "directory": "10-18-25", "status": "failed", "compressed_size_mb": None}],
        [{**_ENTRY, "directory": f"ä-{number}"} for number in range(30)],
    )
]
_WORDS = [
    b"null",
    b"true",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-0.0",
    b"9" * 400,
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"\\u0000",
]
_WORDS += [
    b"\\ud800",
    b"../",
    b"..",
    b"\\u202e",
    b"success",
    b"skipped",
    b"0001-01-01",
    b"9999-12-31T23:59:59-23:59",
    b"\xef\xbb\xbf",
]
_WORDS += [b"[" * 5000, b'{"directories":' * 2000]


def check(data: bytes) -> None:
    """Every entry is a usable result, or the manifest is refused with the reason."""
    results, refused = [], None
    try:
        results = parse_manifest(data.decode("utf-8-sig", errors="replace"))
    except ManifestError as error:
        refused = error
    if refused is not None:
        assert 0 < len(str(refused)) < 50_000
        assert all(len(problem) < 2_000 for problem in refused.problems)
    assert len({result.directory for result in results}) == len(results)
    for result in results:
        assert why_unusable(result.directory) is None
        assert result.status in STATUSES
        assert result.processed_at.tzinfo is UTC
        assert result.storage_location in {None, "local", "sftp", "s3"}
        for figure in (result.original_size_mb, result.compressed_size_mb, result.compression_ratio):
            assert figure is None or (math.isfinite(figure) and figure >= 0)


TARGET = Target("manifest", _SEEDS, _WORDS, check)

if __name__ == "__main__":
    run_target(TARGET)
