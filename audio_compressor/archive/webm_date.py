"""The date that a WebM file gives for itself: DateUTC in the Info of its Segment (EBML: RFC 8794; Matroska: RFC 9559).

Only the beginning of a file is read, where every writer puts it. What is no WebM, or damaged, has no date.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audio_compressor.local_files import local_errors

HEAD_BYTES = 64 * 1024

_EBML, _SEGMENT, _INFO, _CLUSTER, _DATE_UTC = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1F43B675, 0x4461
_DATE_BYTES = 8
# Dates count nanoseconds from here (RFC 8794, section 7.6).
_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
_MAX_ID_BYTES, _MAX_SIZE_BYTES = 4, 8


def read_webm_date(path: Path) -> datetime | None:
    """The date in a file, or None.

    Raises:
        AccessDeniedError, StorageError: it cannot be read.
    """
    with local_errors(path), path.open("rb") as file:
        return webm_date(file.read(HEAD_BYTES))


def webm_date(head: bytes) -> datetime | None:
    """The date in the beginning of a file, or None. Nothing in it raises."""
    elements = _elements(head, 0, len(head))
    if next(elements, (0, 0, 0))[0] != _EBML:
        return None
    for element, start, end in elements:
        if element == _SEGMENT:
            return _date_in_segment(head, start, end)
    return None


def _date_in_segment(head: bytes, start: int, end: int) -> datetime | None:
    for element, child_start, child_end in _elements(head, start, end):
        if element == _INFO:
            dates = (head[a:b] for name, a, b in _elements(head, child_start, child_end) if name == _DATE_UTC)
            return _date(next(dates, b""))
        if element == _CLUSTER:  # sound from here on
            return None
    return None


def _date(value: bytes) -> datetime | None:
    """The date; None for 0 as well, which is what writers leave there that do not know one."""
    nanoseconds = int.from_bytes(value, "big", signed=True)
    if len(value) != _DATE_BYTES or not nanoseconds:
        return None
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _elements(head: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the content of each element; one of unknown size, or cut off, goes to the end."""
    while start < end:
        element = _variable_integer(head, start, end, _MAX_ID_BYTES, keep_marker=True)
        if element is None:
            return
        size = _variable_integer(head, element[1], end, _MAX_SIZE_BYTES, keep_marker=False)
        if size is None:
            return
        content = size[1]
        bits = 7 * (content - element[1])
        is_unknown = size[0] == (1 << bits) - 1
        start = end if is_unknown else min(content + size[0], end)
        yield element[0], content, start


def _variable_integer(
    head: bytes, start: int, end: int, max_bytes: int, *, keep_marker: bool
) -> tuple[int, int] | None:
    """A number of 1 to ``max_bytes`` bytes (RFC 8794, section 4) and where it ends, or None."""
    if start >= end or not head[start]:
        return None
    length = 9 - head[start].bit_length()
    if length > max_bytes or start + length > end:
        return None
    value = int.from_bytes(head[start : start + length], "big")
    return (value if keep_marker else value & ((1 << 7 * length) - 1)), start + length
