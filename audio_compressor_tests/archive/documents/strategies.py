"""Documents and changes as hypothesis makes them: what applications write, and fields that nobody expects."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from audio_compressor.archive.documents.changes import CopyChange

AT = datetime(2026, 3, 14, 10, 20, 30, tzinfo=UTC)
DIRECTORY = "2026/03"

# Fields that the changes write or look at, and others.
_FIELDS = [
    *("size", "size_bytes", "file_size", "total_size", "compressed", "original_size", "compressed_size"),
    *("compression_date", "compression_ratio", "archive", "deleted", "deleted_at", "title", "x", "path", "filename"),
]
values = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1000, 1.5, "", "talk.webm", "b.webm", "2026-01-01", "ä"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=3),
    max_leaves=4,
)
fields = st.dictionaries(st.sampled_from(_FIELDS), values, max_size=6)


def _named(name: str, extra: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {"file": prefix + name, **extra}


prefixes = st.sampled_from(["", "./", f"{DIRECTORY}/", f"recordings/{DIRECTORY}/"])


def chunk(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(_named, st.just(name), fields, prefixes)


def _document(top: dict[str, Any], chunks: list[Any] | None) -> dict[str, Any]:
    return top if chunks is None else {**dict(list(top.items())[:2]), "chunks": chunks, **top}


others = st.sampled_from(["b.webm", "c.webm"]).flatmap(chunk) | fields | st.sampled_from([None, "talk.webm", 3])
with_chunk = st.tuples(chunk("talk.webm"), st.lists(others, max_size=2), st.integers(0, 2)).map(
    lambda drawn: [*drawn[1][: drawn[2]], drawn[0], *drawn[1][drawn[2] :]]
)
documents = st.builds(_document, fields, st.none() | with_chunk | st.lists(others, max_size=2))

copies = st.builds(
    CopyChange,
    old_name=st.just(f"{DIRECTORY}/talk.webm"),
    new_name=st.just(f"{DIRECTORY}/talk.opus"),
    original_bytes=st.integers(1, 2000),
    copy_bytes=st.integers(0, 2000),
    changed_at=st.just(AT),
    details=st.dictionaries(st.sampled_from(["tier", "location", "before", "by", "chunks"]), values, max_size=3),
)
cold = st.integers(1, 2000).flatmap(
    lambda size_bytes: st.builds(
        CopyChange,
        old_name=st.just(f"{DIRECTORY}/talk.webm"),
        new_name=st.just(f"{DIRECTORY}/talk.webm"),
        original_bytes=st.just(size_bytes),
        copy_bytes=st.just(size_bytes),
        changed_at=st.just(AT),
        details=st.just({"location": "s3", "uri": "s3://cold/talk.webm", "storage_class": "DEEP_ARCHIVE"}),
    )
)
