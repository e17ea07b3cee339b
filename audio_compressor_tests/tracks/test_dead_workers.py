"""A worker that is killed between any two writes leaves a track that plays, and the next run finishes its work.

The server kills the process (SIGKILL) when it has carried out so many of its writes, and carries out none afterwards.
"""

import signal
import threading
from collections.abc import Mapping
from multiprocessing import get_context

import pytest

from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor_tests.fixtures.s3_server import Answer, Call, Drop, S3Server
from audio_compressor_tests.tracks.conftest import ABOUT, SONG
from audio_compressor_tests.tracks.listener import heard_version, play
from audio_compressor_tests.tracks.local_tracks import RENDITIONS, Made, real_track
from audio_compressor_tests.tracks.publish_worker import publish

pytestmark = pytest.mark.long

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["__main__", publish.__module__])

# Three renditions of two segments each, their playlists under both names, the M4A, metadata.json and the master.
WRITES = 3 * 2 + 3 + 3 + 3
OLD_SEGMENTS, NEW_SEGMENTS = 3, 2


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Made]:
    directory = tmp_path_factory.mktemp("tracks")
    return {
        "old": real_track(directory / "old", 440, OLD_SEGMENTS),
        "new": real_track(directory / "new", 880, NEW_SEGMENTS),
    }


def publish_and_die(server: S3Server, made: Made, writes: int) -> None:
    """A worker of its own publishes, and is killed when ``writes`` of its writes are done."""
    done = 0
    lock = threading.Lock()
    worker = CONTEXT.Process(target=publish, args=(server.url, made.local.directory), daemon=True)

    def die_at_the_limit(call: Call) -> Answer | None:
        if call.is_write:
            lock.acquire()
            if done == writes:
                lock.release()
                worker.kill()
                raise Drop
        return None

    def count(call: Call, status: int) -> None:
        nonlocal done
        if call.is_write:
            assert status == 200
            done += 1
            lock.release()

    with server.hooked(die_at_the_limit, count):
        worker.start()
        worker.join(60)
        worker.kill()
        worker.join()
    assert (worker.exitcode, done) == ((0, WRITES) if writes >= WRITES else (-signal.SIGKILL, writes))


def names_of(bucket: TrackBucket) -> set[str]:
    published = bucket.published(SONG)
    assert published is not None
    return {*published.files, "metadata.json"}


@pytest.mark.parametrize("writes", range(WRITES + 1))
def test_a_track_that_is_replaced(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, versions: Mapping[str, Made], writes: int
) -> None:
    bucket.publish(SONG, versions["old"].local, ABOUT)
    publish_and_die(s3_server, versions["new"], writes)
    heard = heard_version(folder_url, versions)
    assert heard == ("new" if writes == WRITES else "old")
    segments = NEW_SEGMENTS if writes == WRITES else OLD_SEGMENTS
    assert play(f"{folder_url}/playlist.m3u8") == pytest.approx(1.5 * segments - 0.2, abs=0.1)
    assert bucket.verify_published(SONG).is_intact == (writes in {*range(3 * 2 + 3 + 1), WRITES})

    assert bucket.prune(SONG).remove == ()
    bucket.publish(SONG, versions["new"].local, ABOUT)
    assert bucket.verify_published(SONG, read_all=True).is_intact
    bucket.prune(SONG, 0)
    assert heard_version(folder_url, versions) == "new"
    prefix = "mwonya_audio_tracks/song/"
    assert {key.removeprefix(prefix) for key in s3_server.keys(prefix)} == names_of(bucket)


@pytest.mark.parametrize("writes", range(WRITES))
def test_a_track_that_is_published_for_the_first_time(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, versions: Mapping[str, Made], writes: int
) -> None:
    """There is no master before the end, and every media playlist that is there plays."""
    publish_and_die(s3_server, versions["new"], writes)
    assert heard_version(folder_url, versions) is None
    assert not bucket.verify_published(SONG).is_intact
    there = s3_server.keys()
    visible = [name for name in RENDITIONS if f"mwonya_audio_tracks/song/{name}/playlist.m3u8" in there]
    for name in visible[:1]:
        assert play(f"{folder_url}/{name}/playlist.m3u8") == pytest.approx(1.5 * NEW_SEGMENTS - 0.2, abs=0.1)
    bucket.prune(SONG, 0)
    assert heard_version(folder_url, versions) is None
    bucket.publish(SONG, versions["new"].local, ABOUT)
    assert heard_version(folder_url, versions) == "new"
