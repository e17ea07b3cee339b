"""What a progress bar is told, from many threads at once."""

from concurrent.futures import ThreadPoolExecutor

from audio_compressor.audio.progress import Progress


def test_parts_add_up_to_the_whole() -> None:
    told: list[float] = []
    progress = Progress(told.append)
    first, second = progress.part(0.25), progress.part(0.75)
    first(1.0)
    second(0.5)
    second(1.0)
    assert told == [0.25, 0.625, 1.0]


def test_it_never_goes_back_nor_says_the_same_twice() -> None:
    told: list[float] = []
    part = Progress(told.append).part(1.0)
    for fraction in (0.5, 0.2, 0.5, 0.6, 7.0):
        part(fraction)
    assert told == [0.5, 0.6, 1.0]


def test_many_threads_at_once_keep_the_order() -> None:
    told: list[float] = []
    progress = Progress(told.append)
    parts = [progress.part(1 / 8) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for part in parts:
            threads.map(part, (step / 200 for step in range(201)))
    assert told == sorted(told)
    assert told[-1] > 0.999
