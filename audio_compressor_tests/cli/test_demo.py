"""The first command that anybody runs."""

import json
from pathlib import Path

from audio_compressor_tests.cli.commands import audio_compressor


def test_the_demo_shows_real_work_and_skips_it_the_second_time(tmp_path: Path) -> None:
    first = audio_compressor("demo", cwd=tmp_path)
    assert first.code == 0, first.out + first.err
    assert "6 of 6 " in first.out
    assert "backup of october" in first.err
    compressed = tmp_path / ".demo" / "compressed"
    assert str(compressed) in first.out
    assert len(list(compressed.glob("*_compressed.wav"))) == 6
    manifest = json.loads((compressed / "manifest.json").read_text())
    assert manifest["total_processed"] == 6

    second = audio_compressor("demo", cwd=tmp_path)
    assert second.code == 0, second.out + second.err
    assert "Nothing to do: 6 recordings were done before and are skipped." in second.out
    assert len(list(compressed.iterdir())) == 14
