"""Objects arrive whole and proven, whatever the server knows of checksums and whatever happens on the way."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audio_compressor.errors import AudioCompressorError, CancelledError, StorageError
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_body import Piece
from audio_compressor.storage.s3_client import S3Client, UnsupportedError
from audio_compressor.storage.s3_writer import Encryption, ObjectHeaders, PartSizes, S3Writer
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, S3Server, refusal
from audio_compressor_tests.fixtures.tcp_proxy import Fault, tcp_proxy

HEADERS = ObjectHeaders("audio/mp4", "public, max-age=60")
RETRY = Retry(4, 0)
SIZES = PartSizes(single_bytes=300_000, part_bytes=128 * 1024, workers=3)
SMALL, LARGE = 250_001, 350_001
CRC32, SHA256 = "x-amz-checksum-crc32", "x-amz-checksum-sha256"
EVERY = frozenset({CRC32, SHA256, "x-amz-checksum-algorithm"})


@pytest.fixture(params=[SMALL, LARGE], ids=["in one request", "in parts"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(random.Random(request.param).randbytes(request.param))  # noqa: S311
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(random.Random(LARGE).randbytes(LARGE))  # noqa: S311
    return path


@pytest.fixture(scope="module")
def client(listening_s3_server: S3Server) -> Iterator[S3Client]:
    client = S3Client(listening_s3_server.url, own_checksums=True)
    yield client
    client.close()


@pytest.fixture
def writer(client: S3Client) -> S3Writer:
    return S3Writer(client, BUCKET, RETRY, sizes=SIZES)


def whole(server: S3Server, key: str, source: Path) -> None:
    """The object has the very bytes, and nothing is left of any upload in parts."""
    assert server.get(key) == source.read_bytes()
    assert server.unfinished() == []


@pytest.mark.parametrize(
    ("refused", "ignored", "other_etags", "expected"),
    [
        pytest.param(frozenset(), frozenset(), False, "SHA256", id="all known"),
        pytest.param(frozenset(), frozenset(), True, "SHA256", id="SSE-KMS"),
        pytest.param(frozenset({SHA256}), frozenset(), True, "CRC32", id="SHA-256 refused"),
        pytest.param(EVERY, frozenset(), False, "ETag", id="all refused"),
        pytest.param(EVERY, frozenset(), True, "reading back", id="all refused, and ETags tell nothing"),
        pytest.param(frozenset(), EVERY, False, "ETag", id="all ignored"),
        pytest.param(frozenset(), EVERY, True, "reading back", id="all ignored, and ETags tell nothing"),
    ],
)
def test_every_kind_of_server_is_known_to_have_what_was_sent(
    s3_server: S3Server,
    writer: S3Writer,
    source: Path,
    refused: frozenset[str],
    ignored: frozenset[str],
    other_etags: bool,
    expected: str,
) -> None:
    s3_server.refused, s3_server.ignored, s3_server.other_etags = refused, ignored, other_etags
    written = writer.put("a", Piece.whole(source), HEADERS, threading.Event())
    whole(s3_server, "a", source)
    assert written.checked_by == expected
    assert (written.size_bytes, written.sha256) == (source.stat().st_size, Piece.whole(source).sha256)
    head = s3_server.head("a")
    assert (head["content-type"], head["cache-control"]) == ("audio/mp4", "public, max-age=60")


def test_what_a_server_takes_is_found_out_once(s3_server: S3Server, writer: S3Writer, source: Path) -> None:
    s3_server.refused = EVERY
    writer.put("first", Piece.whole(source), HEADERS, threading.Event())
    before = len(s3_server.calls)
    with_refused = [call for call in s3_server.calls if EVERY & call.headers.keys()]
    assert len(with_refused) == 2
    for name in ("second", "third"):
        writer.put(name, Piece.whole(source), HEADERS, threading.Event())
        whole(s3_server, name, source)
    assert [call for call in s3_server.calls[before:] if EVERY & call.headers.keys()] == []


def test_a_server_that_refuses_something_else_is_not_taken_at_its_word(
    s3_server: S3Server, writer: S3Writer, source: Path
) -> None:
    with (
        s3_server.hooked(lambda call: refusal(501, "NotImplemented") if call.is_write else None),
        pytest.raises(UnsupportedError, match="s3://bucket/a: NotImplemented"),
    ):
        writer.put("a", Piece.whole(source), HEADERS, threading.Event())
    assert writer.put("a", Piece.whole(source), HEADERS, threading.Event()).checked_by == "SHA256"


@pytest.mark.parametrize("ignored", [frozenset[str](), EVERY], ids=["compared", "ignored"])
@pytest.mark.parametrize("other_etags", [False, True], ids=["MD5", "other ETags"])
def test_a_byte_that_changes_on_the_way_is_found_and_sent_again(
    s3_server: S3Server, source: Path, ignored: frozenset[str], other_etags: bool
) -> None:
    s3_server.ignored, s3_server.other_etags = ignored, other_etags
    # Connection 0 begins the upload when it goes in parts.
    number = 0 if source.stat().st_size == SMALL else 2
    fault = Fault("to server", 100_000, "change")
    with tcp_proxy(s3_server.url, lambda connection: fault if connection == number else None) as proxy:
        client = S3Client(proxy.url, own_checksums=True)
        writer = S3Writer(client, BUCKET, RETRY, sizes=replace(SIZES, workers=1))
        writer.put("a", Piece.whole(source), HEADERS, threading.Event())
        client.close()
        assert proxy.struck == 1
    whole(s3_server, "a", source)


def test_a_server_that_changes_everything_is_no_place_to_store_at(
    s3_server: S3Server, writer: S3Writer, source: Path
) -> None:
    s3_server.ignored, s3_server.other_etags = EVERY, True

    def spoil(call: Call, status: int) -> None:
        if call.method in {"PUT", "POST"} and s3_server.keys("a"):
            s3_server.put("a", b"other")

    with s3_server.hooked(after=spoil), pytest.raises(StorageError, match="s3://bucket/a"):
        writer.put("a", Piece.whole(source), HEADERS, threading.Event())


def test_a_server_that_stumbles_at_every_step(s3_server: S3Server, writer: S3Writer, source: Path) -> None:
    """Each request fails three times; boto3 asks twice itself."""
    seen: dict[tuple[str, ...], int] = {}

    def stumble(call: Call) -> Answer | None:
        kind = (call.method, *sorted(call.query.keys() - {"uploadId"}), call.query.get("partNumber", ""))
        seen[kind] = seen.get(kind, 0) + 1
        return refusal(503, "SlowDown") if call.is_write and seen[kind] <= 3 else None

    with s3_server.hooked(stumble):
        writer.put("a", Piece.whole(source), HEADERS, threading.Event())
    whole(s3_server, "a", source)
    assert all(number > 3 for kind, number in seen.items() if kind[0] != "DELETE")


def test_a_server_that_does_not_recover_leaves_nothing(s3_server: S3Server, writer: S3Writer, source: Path) -> None:
    def fail(call: Call) -> Answer | None:
        is_last = call.query.get("partNumber") == "3" or "uploadId" not in call.query
        return refusal(500, "InternalError") if call.method == "PUT" and is_last else None

    with s3_server.hooked(fail), pytest.raises(StorageError, match="InternalError"):
        writer.put("a", Piece.whole(source), HEADERS, threading.Event())
    assert s3_server.keys() == []
    assert s3_server.unfinished() == []


@pytest.mark.parametrize("seed", range(4))
def test_connections_that_break_at_any_byte(s3_server: S3Server, source: Path, seed: int) -> None:
    """Of ten connections, most break somewhere in what is sent, or in the answer."""
    dice = random.Random(seed)  # noqa: S311
    size = min(source.stat().st_size, SIZES.part_bytes)
    faults = [
        Fault("to client", dice.randrange(400)) if dice.random() < 0.3 else Fault("to server", dice.randrange(size))
        for _ in range(10)
    ]
    with tcp_proxy(s3_server.url, lambda number: faults[number] if number < len(faults) else None) as proxy:
        client = S3Client(proxy.url, own_checksums=True)
        writer = S3Writer(client, BUCKET, Retry(12, 0), sizes=SIZES)
        writer.put("a", Piece.whole(source), HEADERS, threading.Event())
        client.close()
        assert proxy.struck > 0
    assert s3_server.get("a") == source.read_bytes()
    # Where the answer to the beginning of an upload got lost, nobody knows its name: a later look removes it.
    assert len(s3_server.unfinished()) <= proxy.struck


def test_a_run_that_is_stopped_leaves_nothing(s3_server: S3Server, client: S3Client, large: Path) -> None:
    stop = threading.Event()

    def stop_now(call: Call) -> None:
        if call.method == "PUT":
            stop.set()

    writer = S3Writer(client, BUCKET, RETRY, sizes=replace(SIZES, workers=1))
    with s3_server.hooked(stop_now), pytest.raises(CancelledError):
        writer.put("a", Piece.whole(large), HEADERS, stop)
    assert s3_server.unfinished() == []
    assert len([call for call in s3_server.calls if call.method == "PUT"]) == 1


def test_what_is_being_sent_ends_in_the_midst(s3_server: S3Server, source: Path) -> None:
    """A slow line holds nobody up for the rest of a part."""
    stop = threading.Event()
    with Piece.whole(source).open(stop) as body:
        assert body.read(1000) == source.read_bytes()[:1000]
        stop.set()
        with pytest.raises(CancelledError):
            body.read(1000)


@pytest.mark.parametrize(
    ("encryption", "expected"),
    [
        (Encryption(), (None, None)),
        (Encryption("AES256"), ("AES256", None)),
        (Encryption("aws:kms"), ("aws:kms", None)),
        (Encryption("aws:kms", "key-1"), ("aws:kms", "key-1")),
    ],
)
def test_encryption_is_asked_for(
    s3_server: S3Server, client: S3Client, source: Path, encryption: Encryption, expected: tuple[str | None, str | None]
) -> None:
    S3Writer(client, BUCKET, RETRY, encryption, SIZES).put("a", Piece.whole(source), HEADERS, threading.Event())
    first = next(call for call in s3_server.calls if call.is_write)
    names = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
    assert tuple(first.headers.get(name) for name in names) == expected


def test_no_more_parts_than_there_may_be(client: S3Client, s3_server: S3Server, tmp_path: Path) -> None:
    """Amazon takes 10,000. The file is sparse, and what is sent is counted only."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(10_001)
    writer = S3Writer(client, BUCKET, RETRY, sizes=PartSizes(single_bytes=0, part_bytes=1, workers=1))
    with (
        s3_server.hooked(lambda call: refusal(400, "EntityTooSmall") if call.method == "PUT" else None),
        pytest.raises(AudioCompressorError, match="EntityTooSmall"),
    ):
        writer.put("a", Piece.whole(path), HEADERS, threading.Event())
    sent = {len(call.body) for call in s3_server.calls if call.method == "PUT"}
    assert sent - {0} == {2}  # 0: what was ended in the midst, after the first error
