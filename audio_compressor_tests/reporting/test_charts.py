import io
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from audio_compressor.reporting.charts import size_chart_png
from audio_compressor.reporting.results import Result
from audio_compressor.reporting.table import update

ORIGINAL, COMPRESSED, SAVED = (0xB3, 0xC0, 0xCE), (0x1F, 0x5F, 0xA8), (0x2C, 0x7F, 0x4F)


def recordings(days: list[int], original_size_mb: float = 100.0, compressed_size_mb: float = 20.0) -> pd.DataFrame:
    first = date(2025, 9, 1)
    return update(
        None,
        [
            Result(
                f"{first + timedelta(days=day):%m-%d-%y}",
                "success",
                datetime(2025, 11, 5, tzinfo=UTC),
                original_size_mb=original_size_mb,
                compressed_size_mb=compressed_size_mb,
                compression_ratio=original_size_mb / compressed_size_mb,
            )
            for day in days
        ],
    )


def picture(frame: pd.DataFrame) -> Image.Image:
    png = size_chart_png(frame)
    assert len(png) <= 40_000
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.size == (800, 450)
    return image


def painted(image: Image.Image, color: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Where pixels of exactly this colour are, below the legend."""
    width, height = image.size
    return [(x, y) for x in range(width) for y in range(30, height) if image.getpixel((x, y)) == color]


def bars(image: Image.Image) -> int:
    """How many bars there are: runs of columns that hold the original's colour."""
    columns = {x for x, _ in painted(image, ORIGINAL)}
    return sum(1 for x in columns if x - 1 not in columns)


def height(image: Image.Image, color: tuple[int, int, int]) -> int:
    rows = [y for _, y in painted(image, color)]
    return max(rows) - min(rows)


def test_one_recording_is_one_bar_in_the_right_proportion() -> None:
    image = picture(recordings([0]))
    assert bars(image) == 1
    assert height(image, ORIGINAL) / height(image, COMPRESSED) == pytest.approx(5, rel=0.1)
    assert painted(image, SAVED)


def test_days_without_recordings_stay_empty() -> None:
    assert bars(picture(recordings([0, 1, 5, 20]))) == 4


@pytest.mark.parametrize(("days", "expected"), [(60, 60), (61, 10), (400, 58), (450, 15), (2000, 22)])
def test_long_times_are_drawn_by_week_month_and_quarter(days: int, expected: int) -> None:
    assert bars(picture(recordings(list(range(days))))) == pytest.approx(expected, abs=1)


def test_a_hundred_thousand_recordings(large: pd.DataFrame) -> None:
    assert bars(picture(large)) == 44  # quarters of 2014 to 2024


def test_nothing_is_a_picture_that_says_so() -> None:
    failed = Result("10-17-25", "failed", datetime(2025, 11, 5, tzinfo=UTC), reason="not audio")
    for frame in (update(None, []), update(None, [failed])):
        image = picture(frame)
        assert not painted(image, ORIGINAL)
        assert len(set(image.get_flattened_data())) > 1, "an empty picture"


@pytest.mark.parametrize(
    ("original_size_mb", "compressed_size_mb"), [(0.0, 0.0), (1e-5, 1e-6), (2e6, 1e5), (10.0, 20.0)]
)
def test_odd_sizes_are_drawn(original_size_mb: float, compressed_size_mb: float) -> None:
    frame = update(
        None,
        [
            Result(
                "no date in this name",
                "success",
                datetime(2025, 11, 5, tzinfo=UTC),
                original_size_mb=original_size_mb,
                compressed_size_mb=compressed_size_mb,
            )
        ],
    )
    picture(frame)


def test_names_a_century_apart_are_drawn_by_year() -> None:
    frame = recordings([0])
    far = Result("01-01-99", "success", datetime(2025, 11, 5, tzinfo=UTC), original_size_mb=100, compressed_size_mb=20)
    assert bars(picture(update(frame, [far]))) == 2


DRAW = """
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
from audio_compressor.reporting.charts import size_chart_png
from audio_compressor.reporting.table import update
before = set(sys.modules)
size_chart_png(update(None, []))
assert "matplotlib" not in before
assert "matplotlib.pyplot" not in sys.modules
"""


@pytest.mark.parametrize("home", ["/dev/null", "/proc/1/nothing", None])
def test_a_home_that_cannot_be_written_gives_no_warning_and_leaves_nothing(tmp_path: Path, home: str | None) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR" and not name.startswith("XDG_")
    }
    environment |= {"TMPDIR": str(tmp_path), "HOME": home or str(tmp_path / "home")}
    drawn = subprocess.run(
        [sys.executable, "-W", "error", "-c", DRAW], env=environment, capture_output=True, text=True, check=False
    )
    assert (drawn.returncode, drawn.stdout, drawn.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ([] if home else ["home"])
