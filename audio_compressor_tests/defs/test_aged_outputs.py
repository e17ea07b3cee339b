"""Our own results, aged by the machinery of the library."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor.archive.aged_results import AgedResults
from audio_compressor.archive.collection import RESULTS
from audio_compressor.archive.opening import setup_of
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.aged import AGED_OUTPUTS
from audio_compressor.defs.resources import build_library_resources
from audio_compressor.errors import ConfigurationError
from audio_compressor.local_files import sha256_of
from audio_compressor.receipts import Receipt
from audio_compressor.reporting.results import Result
from audio_compressor.retries import Retry
from audio_compressor.settings import Settings, load_settings
from audio_compressor_tests.webm_files import encode, voice

WAV, OPUS = "01-02-26_compressed.wav", "01-03-26_compressed.opus"
_TIERS = [{"after_days": 7, "action": "opus", "bitrate": "32k"}]


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two results of January, and what lies beside them."""
    directory = tmp_path / "compressed"
    directory.mkdir()
    sound = voice("anna-1")[: 48_000 * 3]
    encode(directory / WAV, sound, "-ar", "16000", "-ac", "1", "-f", "wav")
    encode(directory / OPUS, sound, "-c:a", "libopus", "-b:a", "96k", "-f", "opus")
    (directory / "01-02-26_meta.xml").write_text("<Meta/>")
    (directory / "manifest.json").write_text("not a document of anything")
    for path in directory.iterdir():
        os.utime(path, (1_770_000_000, 1_770_000_000))
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"tiers": _TIERS}))
    environment = {
        "SFTP_HOST": "sftp.example.org",
        "OUTPUT_DIR": str(directory),
        "OUTPUT_POLICY": str(policy),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "TEMP_DIR": str(tmp_path / "staging"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return directory


def _night(settings: Settings, instance: dg.DagsterInstance) -> list[dg.ExecuteInProcessResult]:
    definitions = build_definitions(settings)
    repository = definitions.get_repository_def()
    resources = build_library_resources(settings, RESULTS).by_name()
    with dg.build_schedule_context(
        instance=instance,
        repository_def=repository,
        scheduled_execution_time=datetime.now(UTC),
        resources=resources,
    ) as context:
        requests = repository.get_schedule_def("output_archive_schedule").evaluate_tick(context).run_requests or []
    job = definitions.resolve_job_def(AGED_OUTPUTS.line.job_name)
    return [job.execute_in_process(instance=instance, tags=dict(request.tags)) for request in requests]


def test_a_night_ages_them(outputs: Path, instance: dg.DagsterInstance) -> None:
    before = {name: (outputs / name).stat().st_size for name in (WAV, OPUS)}
    [result] = _night(load_settings(), instance)
    assert result.success
    assert list(instance.get_dynamic_partitions("output_files")) == [WAV, OPUS]
    assert instance.get_materialized_partitions(AGED_OUTPUTS.asset) == {WAV, OPUS}

    copy = outputs / "01-02-26_compressed.opus"
    assert not (outputs / WAV).exists()
    assert copy.stat().st_size < before[WAV] / 4
    assert (outputs / OPUS).stat().st_size < before[OPUS] / 2
    assert (outputs / "manifest.json").read_text() == "not a document of anything"
    assert _night(load_settings(), instance) == []

    job = build_definitions(load_settings()).resolve_job_def(AGED_OUTPUTS.upkeep_job)
    assert job.execute_in_process(instance=instance).success
    with build_library_resources(load_settings(), RESULTS).open() as library:
        assert library.restore(WAV).path == WAV
    assert sha256_of(outputs / WAV)


def test_they_are_looked_for_where_they_are(outputs: Path) -> None:
    """A result that was aged is neither missing nor a stranger."""
    published = {
        name: Receipt(name[:8], True, "local", (outputs / name).as_uri(), sha256_of(outputs / name), 3.0, 0.1)
        for name in (WAV, OPUS)
    }
    settings = load_settings()
    with build_library_resources(settings, RESULTS).open() as library:
        library.begin()
        ffmpeg = build_library_resources(settings, RESULTS).audio.ffmpeg()
        outcomes = list(library.archive(library.look().plan.due, ffmpeg, 2))
    assert [outcome.status for outcome in outcomes] == ["success", "success"]

    aged = AgedResults(outputs)
    for name in (WAV, OPUS):
        standing = aged.standing(published[name])
        assert standing is not None
        assert standing.path.suffix == ".opus"
        assert standing.sha256 == sha256_of(standing.path)
        assert standing.duration_seconds == pytest.approx(3.0, abs=0.01)
    later = Receipt("01-02-26", True, "local", (outputs / WAV).as_uri(), "0" * 64, 3.0, 0.1)
    assert aged.standing(later) is later  # published since
    elsewhere = Receipt("01-02-26", True, "local", Path("/elsewhere", WAV).as_uri(), None, 3.0, 0.1)
    assert aged.standing(elsewhere) is elsewhere

    at = datetime.now(UTC)
    results = [Result("01-02-26", "success", at, uri=(outputs / WAV).as_uri()), Result("01-09-26", "failed", at)]
    assert [result.uri for result in aged.where_they_are(results)] == [
        (outputs / "01-02-26_compressed.opus").as_uri(),
        None,
    ]


def test_what_was_deleted_is_not_looked_for(outputs: Path) -> None:
    receipt = Receipt("01-02-26", True, "local", (outputs / WAV).as_uri(), sha256_of(outputs / WAV), 3.0, 0.1)
    Path(os.environ["OUTPUT_POLICY"]).write_text(json.dumps({"tiers": [{"after_days": 7, "action": "delete"}]}))
    with setup_of(RESULTS, load_settings()).open(Retry(1, 0)) as library:
        library.begin()
        ffmpeg = build_library_resources(load_settings(), RESULTS).audio.ffmpeg()
        assert len(list(library.archive(library.look().plan.due, ffmpeg, 1))) == 2
    assert AgedResults(outputs).standing(receipt) is None


def test_without_a_policy_they_stay_as_they_are(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPUT_POLICY", "")
    assert not AGED_OUTPUTS.is_set_up(load_settings())
    with pytest.raises(ConfigurationError, match="OUTPUT_POLICY is not set"):
        setup_of(RESULTS, load_settings())


def test_only_local_ones(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", "sftp")
    with pytest.raises(ConfigurationError, match="OUTPUT_POLICY"):
        load_settings()
