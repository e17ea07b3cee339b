"""The processing report from real results: totals, files, metadata, and that it reads only what is new."""

import csv
import json

import dagster as dg

from audio_compressor.defs.names import PROCESSING_REPORT, REPORT_JOB
from audio_compressor.defs.report_history import last_cursor, newest_result
from audio_compressor_tests.defs.test_night import execute, nightly
from audio_compressor_tests.fixtures.studio import Studio
from audio_compressor_tests.wav_files import tone


def report(studio: Studio, instance: dg.DagsterInstance) -> dict[str, object]:
    """Make the report; gives its metadata."""
    job = studio.definitions.resolve_job_def(REPORT_JOB)
    assert job.execute_in_process(instance=instance).success
    event = instance.get_latest_materialization_event(PROCESSING_REPORT)
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


def report_requests(studio: Studio, instance: dg.DagsterInstance) -> int:
    repository = studio.definitions.get_repository_def()
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        result = repository.get_sensor_def("processing_report_sensor").evaluate_tick(context)
    return len(result.run_requests or [])


def test_success_failure_and_skip_are_all_in_it(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add("10-17-25", tone(10.0))
    studio.add_file("10-18-25", b"not audio " * 100)
    studio.add("10-19-25").unlink()
    studio.settle(studio.recordings / "10-19-25" / "StereoMix.wav")
    execute(studio, instance, nightly(studio, instance))
    assert report_requests(studio, instance) == 1
    metadata = report(studio, instance)
    assert (metadata["total_processed"], metadata["total_failed"], metadata["total_skipped"]) == (1, 1, 1)
    assert "10-18-25" in str(metadata["recordings"])
    assert str(metadata["sizes"]).startswith("![sizes](data:image/png;base64,")
    assert report_requests(studio, instance) == 0

    manifest = json.loads((studio.output / "manifest.json").read_text())
    assert list(manifest) == ["last_run", "total_processed", "total_failed", "total_space_saved_gb", "directories"]
    assert [(entry["directory"], entry["status"]) for entry in manifest["directories"]] == [
        ("10-17-25", "success"),
        ("10-18-25", "failed"),
        ("10-19-25", "skipped"),
    ]
    first = manifest["directories"][0]
    assert (first["original_size_mb"], first["compressed_size_mb"], first["storage_location"]) == (1.8, 0.32, "local")


def test_it_heals_when_its_table_is_lost_or_older(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add("10-17-25")
    execute(studio, instance, nightly(studio, instance))
    report(studio, instance)
    table = studio.output / "processing_report.csv"
    older = table.read_bytes()
    studio.add("10-18-25")
    execute(studio, instance, nightly(studio, instance))
    assert report(studio, instance)["total_processed"] == 2
    assert newest_result(instance) == last_cursor(instance)

    for damage in (table.unlink, lambda: table.write_bytes(older)):
        damage()
        assert report(studio, instance)["total_processed"] == 2
        with table.open() as file:
            assert [row["directory"] for row in csv.DictReader(file)] == ["10-17-25", "10-18-25"]
