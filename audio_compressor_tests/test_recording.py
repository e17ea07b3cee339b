"""Names, dates and fingerprints, against real directories and a real Dagster instance."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from audio_compressor.demo.server import EmbeddedSftpServer
from audio_compressor.local_files import sha256_of
from audio_compressor.recording import (
    MAX_DIRECTORY_NAME_BYTES,
    Fingerprint,
    chronological,
    compressed_name,
    directory_of,
    metadata_name,
    part_name,
    recorded_on,
    timestamped,
    too_large,
    why_unusable,
)
from audio_compressor.retries import Retry
from audio_compressor.settings import DOCUMENT_DIR_PATTERN
from audio_compressor.sftp.connection import SftpEndpoint
from audio_compressor.storage.fallback import FallbackStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.sftp import SftpStorage
from audio_compressor_tests.fixtures.directories import names_in

EXTENSIONS = ["wav", "opus", "mp3", "m4a", "flac"]
# Pieces of which names go wrong; plain text from hypothesis rarely holds them.
PIECES = ["10-17-25", "-01", "_compressed", "_meta", ".wav", ".xml", ".part", "_20251104_214530", ".", "..", "/", "\\"]
PIECES += [",", " ", "\n", "\x00", "\u200b", "\ufffd", "\ud800", "ä", "日", "😀", "a", "[", "*", '"', "~", "$", "-"]
any_text = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
# Hypothesis gives up where nearly all that it draws is thrown away.
mostly_usable = st.lists(st.sampled_from([piece for piece in PIECES if why_unusable(f"a{piece}a") is None]), max_size=8)
usable = st.one_of(mostly_usable.map("".join), any_text).filter(lambda name: why_unusable(name) is None)
extensions = st.sampled_from(EXTENSIONS)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
whole_seconds = moments.map(lambda at: at.replace(microsecond=0))
fingerprints = st.builds(Fingerprint, st.integers(0, 2**63), st.integers(-(2**31), 2**40))


def output_name(directory: str, extension: str | None, at: datetime | None) -> str:
    name = metadata_name(directory) if extension is None else compressed_name(directory, extension)
    return name if at is None else timestamped(name, at)


outputs = st.tuples(usable, st.none() | extensions, st.none() | whole_seconds)


def test_names_of_the_source_document() -> None:
    assert compressed_name("10-17-25", "wav") == "10-17-25_compressed.wav"
    assert metadata_name("10-17-25-01") == "10-17-25-01_meta.xml"
    at = datetime.fromisoformat("2025-11-04T23:45:30+02:00")
    assert timestamped("10-17-25_compressed.wav", at) == "10-17-25_compressed_20251104_214530.wav"
    assert part_name("10-17-25_compressed.wav") == ".10-17-25_compressed.wav.part"


@given(outputs, outputs)
@settings(deadline=None)
@example(("a", "wav", datetime(2025, 11, 4, 21, 45, 30, tzinfo=UTC)), ("a_compressed_20251104_214530", "wav", None))
@example(("a", "wav", None), ("a_compressed", "wav", None))
@example(("a_meta", None, None), ("a", None, None))
def test_output_names_are_injective(
    one: tuple[str, str | None, datetime | None], other: tuple[str, str | None, datetime | None]
) -> None:
    assert (output_name(*one) == output_name(*other)) == (one == other)


@given(outputs)
@settings(deadline=None)
@example(("a_compressed.wav", "wav", None))
@example(("x_meta.xml", None, datetime(2025, 11, 4, tzinfo=UTC)))
def test_every_output_name_leads_back_to_its_directory(output: tuple[str, str | None, datetime | None]) -> None:
    assert directory_of(output_name(*output)) == output[0]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "manifest.json",
        "processing_report.csv",
        "10-17-25",
        "10-17-25_compressed",
        "_compressed.wav",
        "10-17-25_compressed_2025.wav",
        "10-17-25_meta.json",
        "10-17-25_compressed.wav.part",
    ],
)
def test_other_names_lead_nowhere(name: str) -> None:
    assert directory_of(name) is None


@given(outputs)
@settings(deadline=None)
def test_a_part_is_never_taken_for_a_result(output: tuple[str, str | None, datetime | None]) -> None:
    assert directory_of(part_name(output_name(*output))) is None


@given(any_text)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example("..")
@example("a/../../b")
@example("x\x00y")
@example("x" * MAX_DIRECTORY_NAME_BYTES)
def test_a_usable_name_stays_in_its_directory(tmp_path: Path, name: str) -> None:
    assume(why_unusable(name) is None)
    root = tmp_path.resolve()
    path = root / name
    assert path.resolve() == path
    assert path.parent == root
    path.mkdir()
    try:
        assert names_in(root) == [name]
    finally:
        path.rmdir()


@given(usable, usable)
@settings(deadline=None)
@example("a", "b")
def test_usable_names_make_ranges_that_can_be_read(first: str, last: str) -> None:
    assert f"{first}...{last}".split("...") == [first, last]
    assert f"{first},{last}".split(",") == [first, last]


@given(st.lists(usable, unique=True, min_size=1, max_size=10))
@settings(deadline=None, max_examples=50)
def test_dagster_takes_every_usable_name(names: list[str]) -> None:
    partitions = dg.DynamicPartitionsDefinition(name="recordings")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("recordings", names)
        with dg.partition_loading_context(dynamic_partitions_store=instance):
            keys = partitions.get_partition_keys_in_range(dg.PartitionKeyRange(names[0], names[-1]))
        assert list(keys) == names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("a/b", "separator"),
        ("a\\b", "separator"),
        ("..", "dot"),
        (".hidden", "dot"),
        ("a.", "dot"),
        (" a", "white space"),
        ("a\n", "white space"),
        ("a,b", "comma"),
        ("a...b", "comma or '...'"),
        ("a\x07b", "control"),
        ("a\u200bb", "invisible"),
        ("a\u2028b", "invisible"),
        ("\u3164", "invisible"),
        ("a\udc80b", "invisible"),
        ("a\ufffdb", "UTF-8"),
        ("x" * (MAX_DIRECTORY_NAME_BYTES + 1), "longer"),
        ("ä" * (MAX_DIRECTORY_NAME_BYTES // 2 + 1), "longer"),
    ],
)
def test_unusable_names_and_why(name: str, reason: str) -> None:
    assert reason in (why_unusable(name) or "")


@pytest.mark.parametrize("name", ["10-17-25", "10-17-25-01", "Aufnahme vom 3. März", "日本語", "a..b", "x" * 200])
def test_ordinary_names_are_usable(name: str) -> None:
    assert why_unusable(name) is None


def test_the_longest_name_can_be_stored_as_everything(
    tmp_path: Path, sftp_server: EmbeddedSftpServer, sftp_endpoint: SftpEndpoint
) -> None:
    """The longest names are those of a duplicate that is stranded by a fallback, of its marker, and of their parts."""
    directory = "x" * MAX_DIRECTORY_NAME_BYTES
    name = compressed_name(directory, "flac")
    local = LocalStorage(tmp_path / "fallback")
    with FallbackStorage(SftpStorage(sftp_endpoint, "/compressed"), local, Retry(1, 0)) as storage:
        path = tmp_path / "source"
        path.write_bytes(b"zero")
        assert storage.publish(path, name, sha256_of(path)).location == "sftp"
        sftp_server.stop()
        stored = []
        for content in (b"one", b"two"):
            path.write_bytes(content)
            stored.append(storage.publish(path, name, sha256_of(path)).name)
        assert sorted(storage.stranded()) == sorted(stored)
    assert {directory_of(published) for published in stored} == {directory}
    # No byte is given away: one more would not fit on a file system.
    longest = part_name(f".{timestamped(name, datetime.now(UTC))}.stranded")
    assert len(longest.encode()) == 255


@given(fingerprints)
@settings(deadline=None)
def test_a_fingerprint_survives_its_text(fingerprint: Fingerprint) -> None:
    assert Fingerprint.parse(str(fingerprint)) == fingerprint


@given(fingerprints, fingerprints)
@settings(deadline=None)
def test_fingerprints_have_different_texts(one: Fingerprint, other: Fingerprint) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(st.one_of(st.text(max_size=20), st.from_regex(r"[-+_ \d]*-[-+_ \d]*", fullmatch=True)))
@settings(deadline=None)
@example("1_0-5")
@example("١٢-٥")
@example("05-6")
@example("5")
def test_only_a_fingerprint_is_read_as_one(text: str) -> None:
    canonical = re.fullmatch(r"(0|[1-9][0-9]*)-(0|-?[1-9][0-9]*)", text)
    try:
        fingerprint = Fingerprint.parse(text)
    except ValueError:
        assert not canonical
    else:
        assert canonical
        assert str(fingerprint) == text


def test_a_fingerprint_tells_the_time_in_utc() -> None:
    assert Fingerprint(1, 1_760_659_200).modified_at == datetime(2025, 10, 17, tzinfo=UTC)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.none() | st.integers(0, 99))
@settings(deadline=None)
def test_a_name_of_the_documented_form_tells_its_date(day: date, take: int | None) -> None:
    name = f"{day:%m-%d-%y}" + ("" if take is None else f"-{take:02}")
    assert re.search(DOCUMENT_DIR_PATTERN, name)
    assert recorded_on(name) == day


@pytest.mark.parametrize("name", ["13-01-25", "02-30-25", "10-17-2025", "10-17-25-1", "10-17-25-001", "x", ""])
def test_a_name_without_a_date(name: str) -> None:
    assert recorded_on(name) is None


def test_recording_order_is_by_date_then_take_and_undated_last() -> None:
    names = ["zebra", "01-01-26", "12-31-25-02", "12-31-25", "12-31-25-01", "02-01-25", "99-99-99", "abc"]
    assert sorted(names, key=chronological) == [
        *("02-01-25", "12-31-25", "12-31-25-01", "12-31-25-02", "01-01-26"),
        *("99-99-99", "abc", "zebra"),
    ]


def test_the_reason_for_too_large_has_both_figures() -> None:
    reason = "2,000,500,000 bytes are more than MAX_FILE_SIZE_MB allows (2,000)"
    assert too_large(2_000_500_000, 2_000_000_000) == reason
