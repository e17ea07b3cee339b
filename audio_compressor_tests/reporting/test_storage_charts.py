"""The storage report's pictures, by their pixels."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from audio_compressor.reporting.storage import Piece, table
from audio_compressor.reporting.storage_charts import growth_chart_png, month_chart_png, tier_chart_png
from audio_compressor.reporting.storage_disks import Disk, look_at_disks
from audio_compressor.reporting.storage_growth import Night, forecast
from audio_compressor_tests.fixtures.shelf import months
from audio_compressor_tests.hostile_names import WORST

NOW = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
ORIGINAL, FIRST, SECOND, FREE = (0xB3, 0xC0, 0xCE), (0x1F, 0x5F, 0xA8), (0xE0, 0x8E, 0x2B), (0x2C, 0x7F, 0x4F)
MB, GB = 1_000_000, 1_000_000_000


def pieces(of_months: list[str], tiers: list[str], original_bytes: int = 5 * MB, now_bytes: int = MB) -> pd.DataFrame:
    return table(
        Piece("library", f"{month} {tier}", month, tier, "library", original_bytes, now_bytes, is_compressed=True)
        for month in of_months
        for tier in tiers
    )


def picture(png: bytes) -> Image.Image:
    assert len(png) <= 50_000
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.size == (800, 450)
    return image


def painted(image: Image.Image, color: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Where pixels of exactly this colour are, but for the legends above and below."""
    width, height = image.size
    return [(x, y) for x in range(width) for y in range(40, height - 40) if image.getpixel((x, y)) == color]


def bars(image: Image.Image, color: tuple[int, int, int]) -> int:
    columns = {x for x, _ in painted(image, color)}
    return sum(1 for x in columns if x - 1 not in columns)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    [[disk], _] = look_at_disks({"library": Path(tmp_path_factory.mktemp("library"))}, 0)
    return disk


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (60, 60), (61, 6)])
def test_a_bar_for_each_month_and_of_many_for_each_year(count: int, expected: int) -> None:
    image = picture(month_chart_png(pieces(list(months(count)), ["Opus 96k", "Opus 64k"])))
    assert (bars(image, FIRST), bars(image, SECOND)) == (expected, expected)


def test_tiers_lie_on_one_another_and_many_are_summed_up() -> None:
    frame = pieces(["2026-01"], [f"tier {number}" for number in range(20)])
    image = picture(month_chart_png(frame))
    assert max(y for _, y in painted(image, SECOND)) < min(y for _, y in painted(image, FIRST))
    others = painted(image, (0x9A, 0xA3, 0xAB)) or painted(image, (0x3F, 0xA7, 0xA3))
    heights = [len({y for _, y in found}) for found in (others, painted(image, FIRST))]
    assert heights[0] == pytest.approx(15 * heights[1], rel=0.2)


def test_what_it_was_and_what_it_takes_now_are_in_proportion() -> None:
    image = picture(tier_chart_png(pieces(["2026-01"], ["Opus 64k"])))
    right, now = ([x for x, _ in painted(image, color)] for color in (ORIGINAL, FIRST))
    left = min(now)
    assert (max(right) - left) / (max(now) - left) == pytest.approx(5, rel=0.05)


def test_names_from_outside_are_drawn_and_nothing_is_warned_of() -> None:
    tiers = [*WORST, "日本語", "_hidden", "$x^$", "\\frac{", "x" * 500]
    frame = pieces(["2026-01"], tiers)
    for number in range(0, len(tiers), 10):
        some = frame[frame["tier"].isin(tiers[number : number + 10])]
        picture(tier_chart_png(some))
        picture(month_chart_png(some))


@pytest.mark.parametrize(("original_bytes", "now_bytes"), [(0, 0), (1, 1), (10**15, 10**15), (5, 50)])
def test_odd_sizes_are_drawn(original_bytes: int, now_bytes: int) -> None:
    frame = pieces(["2026-01"], ["Opus 64k"], original_bytes, now_bytes)
    picture(tier_chart_png(frame))
    picture(month_chart_png(frame))


def test_nothing_is_a_picture_that_says_so() -> None:
    for draw in (month_chart_png, tier_chart_png):
        image = picture(draw(table([])))
        assert not painted(image, FIRST)
        assert len(set(image.get_flattened_data())) > 1, "an empty picture"


def test_growth_is_drawn_to_the_day_when_the_disk_is_full(disk: Disk) -> None:
    nights = [
        Night(NOW - timedelta(days=40 - day), day * GB, 2 * day * GB, {"library": (80 - day) * GB}) for day in range(41)
    ]
    ahead = forecast(NOW, [(night.at, night.free_bytes["library"]) for night in nights])
    image = picture(growth_chart_png(nights, disk, ahead))
    first, today = (edge(x for x, _ in painted(image, FIRST)) for edge in (min, max))
    free = [(x, y) for x, y in painted(image, FREE) if y > 240]  # below the headline
    assert max(x for x, _ in free) == pytest.approx(2 * today - first, abs=20)
    assert max(y for x, y in free if x > today) > max(y for x, y in free if x <= today) + 30
    image = picture(growth_chart_png(nights, disk, forecast(NOW, [])))
    right = max(x for x, _ in painted(image, FIRST))
    assert max(x for x, y in painted(image, FREE) if y > 240) == pytest.approx(right, abs=4)


def test_growth_with_little_to_show(disk: Disk) -> None:
    picture(growth_chart_png([], None, None))
    picture(growth_chart_png([Night(NOW, None, None, {})], None, None))
    picture(growth_chart_png([Night(NOW, 1, 2, {"library": 5})], disk, forecast(NOW, [(NOW, 5)])))
