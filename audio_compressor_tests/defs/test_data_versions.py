"""Every version that is written says, when it is read, what was written; none is taken for one of another kind."""

from datetime import UTC, datetime, timedelta, timezone

import dagster as dg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_compressor.defs import data_versions
from audio_compressor.defs.names import DATA_VERSION_TAG
from audio_compressor.intake.plan import SkipKind, Success
from audio_compressor.recording import Fingerprint

fingerprints = st.builds(Fingerprint, st.integers(0, 2**63), st.integers(-(2**31), 2**40))
known_or_not = st.none() | fingerprints
kinds: st.SearchStrategy[SkipKind] = st.sampled_from(["no_audio", "unreadable", "too_large"])
sha256s = st.binary(min_size=32, max_size=32).map(bytes.hex)
zones = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-9, minutes=-30))])
moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001


versions = st.one_of(
    st.builds(data_versions.of_success, fingerprints, sha256s).map(lambda text: ("success", text)),
    st.builds(data_versions.of_adoption, fingerprints).map(lambda text: ("success", text)),
    st.builds(data_versions.of_import, moments).map(lambda text: ("success", text)),
    st.builds(data_versions.of_failure, known_or_not).map(lambda text: ("failure", text)),
    st.builds(data_versions.of_skip, kinds, known_or_not).map(lambda text: ("skip", text)),
)


@given(fingerprints, sha256s)
@settings(deadline=None)
def test_a_success_tells_what_it_was_made_from(fingerprint: Fingerprint, sha256: str) -> None:
    found = data_versions.parse_success(data_versions.of_success(fingerprint, sha256))
    assert found == Success(fingerprint, 0.0)
    assert found.covers(fingerprint)


@given(fingerprints)
@settings(deadline=None)
def test_an_adoption_tells_what_it_stands_for(fingerprint: Fingerprint) -> None:
    version = data_versions.of_adoption(fingerprint)
    assert data_versions.parse_success(version) == Success(fingerprint, 0.0)


@given(moments)
@settings(deadline=None)
def test_an_import_tells_when_it_was_processed(processed_at: datetime) -> None:
    found = data_versions.parse_success(data_versions.of_import(processed_at))
    assert found == Success(None, processed_at.timestamp())


@given(known_or_not)
@settings(deadline=None)
def test_a_failure_tells_the_source_it_failed_on(fingerprint: Fingerprint | None) -> None:
    version = data_versions.of_failure(fingerprint)
    assert data_versions.is_failure(version)
    assert data_versions.parse_failure(version) == fingerprint


@given(kinds, known_or_not)
@settings(deadline=None)
def test_a_skip_tells_its_kind_and_source(kind: SkipKind, fingerprint: Fingerprint | None) -> None:
    version = data_versions.of_skip(kind, fingerprint)
    assert data_versions.parse_skip(version) == (kind, fingerprint)


@given(versions)
@settings(deadline=None)
def test_each_version_is_of_one_kind(drawn: tuple[str, str]) -> None:
    kind, version = drawn
    assert (data_versions.parse_success(version) is not None) == (kind == "success")
    assert data_versions.is_failure(version) == (kind == "failure")
    assert (data_versions.parse_skip(version) is not None) == (kind == "skip")


@given(st.text(max_size=30))
@settings(deadline=None)
@example("")
@example("imported;soon")
@example("imported;")
@example("2025-10-17")
@example("v1;5-6")
@example("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
@example("skipped;some_day;5-6")
def test_a_version_that_is_not_ours_is_read_as_nothing(version: str) -> None:
    made_from = version.partition(";")[0]
    success = data_versions.parse_success(version)
    assert success is None or (success.fingerprint is not None and str(success.fingerprint) == made_from)
    assert data_versions.parse_skip(version) is None
    assert data_versions.is_failure(version) == version.startswith("failed;")


@pytest.mark.parametrize("fingerprint", ["", "soon", "5", "5-"])
def test_a_spoilt_fingerprint_is_an_unknown_one(fingerprint: str) -> None:
    assert data_versions.parse_failure(f"failed;{fingerprint}") is None
    assert data_versions.parse_skip(f"skipped;too_large;{fingerprint}") == ("too_large", None)


@given(st.lists(versions, min_size=1, max_size=5))
@settings(deadline=None)
@example([("success", "5--6;adopted"), ("failure", "failed;")])
def test_dagster_keeps_versions_as_tags_by_partition(drawn: list[tuple[str, str]]) -> None:
    """The query that the history rests on gives back the text that was written."""
    key = dg.AssetKey("compressed_audio")
    written = {str(number): version for number, (_, version) in enumerate(drawn)}
    with dg.DagsterInstance.ephemeral() as instance:
        for partition, version in written.items():
            event = dg.AssetMaterialization(key, partition=partition, tags={DATA_VERSION_TAG: version})
            instance.report_runless_asset_event(event)
        found = instance.event_log_storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
        )
    assert {partition: tags[DATA_VERSION_TAG] for partition, tags in found.items()} == written
