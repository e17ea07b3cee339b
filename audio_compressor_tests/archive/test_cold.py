"""What is sent to cold storage is proved to be there, whatever the store knows, and comes back as it was."""

import base64
import hashlib
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from moto.moto_api import state_manager

from audio_compressor.archive.cold import ColdArchive, DamagedCopyError
from audio_compressor.archive.cold.keys import key_for, key_of, uri_of
from audio_compressor.archive.cold.policy import least_policy
from audio_compressor.archive.records import Copy
from audio_compressor.errors import (
    AuthenticationError,
    CancelledError,
    LibraryError,
    RemoteFileMissingError,
    SourceChangedError,
    StorageError,
    ThawingError,
    TransientError,
)
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_writer import Encryption, PartSizes
from audio_compressor_tests.fixtures.s3_policy import Need, grants
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, Drop, S3Server, refusal
from audio_compressor_tests.fixtures.tcp_proxy import Fault, tcp_proxy

RETRY = Retry(3, 0)
SIZES = PartSizes(single_bytes=300_000, part_bytes=128 * 1024, workers=2)
SMALL, LARGE = 200_001, 350_001
SHA256 = "x-amz-checksum-sha256"
EVERY = frozenset({"x-amz-checksum-crc32", SHA256, "x-amz-checksum-algorithm"})
PREFIX = "archive/"
NAME = "2026/03/talk.webm"

Opener = Callable[..., ColdArchive]


def archive(url: str, **options: object) -> ColdArchive:
    fixed = {"retry": RETRY, "sizes": SIZES, "read_piece_bytes": 100_000, **options}
    return ColdArchive(BUCKET, PREFIX, url, **fixed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lasting(listening_s3_server: S3Server) -> Iterator[dict[object, ColdArchive]]:
    """One for each kind of store, since it remembers what the store can do; boto3 takes 0.2 s to make a client."""
    made: dict[object, ColdArchive] = defaultdict(lambda: archive(listening_s3_server.url))
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def cold(s3_server: S3Server, lasting: dict[object, ColdArchive]) -> ColdArchive:
    """Of a store that knows everything."""
    return lasting["knows everything"]


@pytest.fixture
def opened(s3_server: S3Server) -> Iterator[Opener]:
    """What knows nothing of the store yet."""
    with ExitStack() as stack:
        yield lambda url=s3_server.url, **options: stack.enter_context(archive(url, **options))


@pytest.fixture(params=[SMALL, LARGE], ids=["in one request", "in parts"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path / "talk.webm", request.param)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return written(tmp_path / "small.webm", SMALL)


def written(path: Path, size_bytes: int, seed: int = 1) -> Path:
    path.write_bytes(random.Random(seed).randbytes(size_bytes))  # noqa: S311
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put(cold: ColdArchive, path: Path, storage_class: str = "STANDARD_IA", name: str = NAME) -> Copy:
    return copy_of(path, cold.put(path, name, sha256(path), storage_class).uri, storage_class, name)


def copy_of(path: Path, uri: str, storage_class: str = "STANDARD_IA", name: str = NAME) -> Copy:
    return Copy(
        place="cold",
        path=name,
        size_bytes=path.stat().st_size,
        sha256=sha256(path),
        codec="opus",
        bitrate_kbps=64,
        made_from="",
        made_at=datetime(2026, 4, 1, tzinfo=UTC),
        tier="cold",
        uri=uri,
        storage_class=storage_class,
    )


def key(copy: Copy) -> str:
    return key_of(BUCKET, copy)


def of_copies(calls: list[Call], *methods: str) -> list[Call]:
    return [call for call in calls if call.method in methods and call.key and ".probe" not in call.key]


def claim(server: S3Server, content: bytes, call: Call) -> Answer | None:
    """Every object is said to have the checksum of this content, as by a store that tells what it was told."""
    claimed = base64.b64encode(hashlib.sha256(content).digest()).decode()
    is_there = call.method == "HEAD" and call.key in server.keys()  # noqa: SIM118
    return Answer(200, b"", {**server.head(call.key), SHA256: claimed}) if is_there else None


@contextmanager
def slow_thawing() -> Iterator[None]:
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 3})
    try:
        yield
    finally:
        state_manager.unset_transition("s3::keyrestore")


# -- sending


def test_what_is_sent_is_there_and_is_not_sent_twice(s3_server: S3Server, cold: ColdArchive, source: Path) -> None:
    uploaded = cold.put(source, NAME, sha256(source), "STANDARD_IA")
    copy = copy_of(source, uploaded.uri)
    assert uploaded.uri == cold.uri(NAME, sha256(source)) == f"s3://bucket/{key(copy)}"
    assert uploaded.size_bytes == source.stat().st_size
    assert uploaded.checked_by == ("SHA-256" if uploaded.size_bytes == SMALL else "SHA-256 of the parts")
    assert s3_server.content() == {key(copy): source.read_bytes()}
    head = s3_server.head(key(copy))
    assert head["x-amz-meta-sha256"] == sha256(source)
    assert (head["x-amz-storage-class"], head["content-type"]) == ("STANDARD_IA", "audio/webm")
    s3_server.calls.clear()
    assert cold.put(source, NAME, sha256(source), "STANDARD_IA") == uploaded
    cold.confirm(copy)
    assert [call.method for call in s3_server.calls] == ["HEAD", "HEAD"]  # proved without reading or writing a byte


@pytest.mark.parametrize(
    ("refused", "ignored", "other_etags"),
    [
        pytest.param(frozenset({SHA256}), frozenset(), False, id="SHA-256 refused"),
        pytest.param(EVERY, frozenset(), True, id="all refused"),
        pytest.param(frozenset(), EVERY, False, id="all ignored"),
    ],
)
def test_a_store_without_checksums_has_everything_read_back(
    s3_server: S3Server,
    lasting: dict[object, ColdArchive],
    source: Path,
    refused: frozenset[str],
    ignored: frozenset[str],
    other_etags: bool,
) -> None:
    cold = lasting[refused, ignored]
    s3_server.refused, s3_server.ignored, s3_server.other_etags = refused, ignored, other_etags
    uploaded = cold.put(source, NAME, sha256(source), "STANDARD")
    assert uploaded.checked_by == "reading back"
    s3_server.calls.clear()
    cold.confirm(copy_of(source, uploaded.uri))
    asked = [call.headers["range"] for call in of_copies(s3_server.calls, "GET")]
    assert asked[0] == "bytes=0-99999"
    assert asked[-1].endswith(f"-{source.stat().st_size - 1}")
    assert s3_server.keys() == [key(copy_of(source, uploaded.uri))]


def test_a_store_that_tells_what_it_was_told_is_not_believed(
    s3_server: S3Server, opened: Opener, small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    s3_server.ignored, cold = EVERY, opened()
    with s3_server.hooked(partial(claim, s3_server, small.read_bytes())):
        assert cold.put(small, NAME, sha256(small), "STANDARD").checked_by == "reading back"
        copy = copy_of(small, cold.uri(NAME, sha256(small)))
        s3_server.put(key(copy), b"\0" + small.read_bytes()[1:])
        with pytest.raises(DamagedCopyError, match="read to its end"):
            cold.confirm(copy)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "s3://bucket/archive/ takes what has not the checksum that comes with it; all that is archived is read back"
    ]


def test_nothing_is_written_over_what_lies_there(s3_server: S3Server, cold: ColdArchive, source: Path) -> None:
    copy = copy_of(source, cold.uri(NAME, sha256(source)))
    for other in (b"another", bytes(copy.size_bytes)):
        s3_server.put(key(copy), other)
        with pytest.raises(DamagedCopyError, match=r"Nothing is written over it, and talk\.webm stays where it is"):
            put(cold, source)
        assert s3_server.content() == {key(copy): other}


def test_two_contents_of_one_name_lie_beside_each_other(
    s3_server: S3Server, cold: ColdArchive, source: Path, tmp_path: Path
) -> None:
    other = written(tmp_path / "other", source.stat().st_size, seed=2)
    copies = [put(cold, path) for path in (source, other)]
    assert s3_server.content() == {key(copies[0]): source.read_bytes(), key(copies[1]): other.read_bytes()}
    cold.remove(copies[0])
    assert s3_server.content() == {key(copies[1]): other.read_bytes()}


def test_a_file_that_is_another_one_is_not_sent(s3_server: S3Server, cold: ColdArchive, source: Path) -> None:
    with pytest.raises(SourceChangedError, match=r"talk\.webm was changed"):
        cold.put(source, NAME, hashlib.sha256(b"before").hexdigest(), "STANDARD")
    assert s3_server.calls == []


@pytest.mark.parametrize("ignored", [frozenset[str](), EVERY], ids=["compared", "ignored"])
@pytest.mark.parametrize("goes_back", [False, True], ids=["stays", "goes back"])
def test_a_file_that_changes_while_it_is_sent(
    s3_server: S3Server,
    lasting: dict[object, ColdArchive],
    source: Path,
    ignored: frozenset[str],
    goes_back: bool,
) -> None:
    """After it was read, and before it is sent; perhaps only for so long."""
    s3_server.ignored, cold = ignored, lasting[frozenset[str](), ignored]
    before, expected = source.read_bytes(), sha256(source)

    def change(call: Call) -> None:
        if call.method == "HEAD":
            source.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))

    def change_back(call: Call, _: int) -> None:
        is_last = call.method == "POST" and "uploadId" in call.query
        if goes_back and (is_last or (call.method == "PUT" and "uploadId" not in call.query)):
            source.write_bytes(before)

    with s3_server.hooked(change, change_back), pytest.raises((SourceChangedError, DamagedCopyError)):
        cold.put(source, NAME, expected, "STANDARD")
    assert s3_server.content() == {}
    source.write_bytes(before)
    cold.confirm(put(cold, source))


def test_a_byte_that_changes_on_the_way_to_a_store_that_compares_nothing(
    s3_server: S3Server, opened: Opener, small: Path
) -> None:
    s3_server.ignored, s3_server.other_etags = EVERY, True
    fault = Fault("to server", 100_000, "change")
    with tcp_proxy(s3_server.url, lambda number: fault if number == 1 else None) as proxy:
        copy = put(opened(proxy.url), small)
        assert proxy.struck == 1
    assert s3_server.get(key(copy)) == small.read_bytes()


def test_a_store_that_changes_everything_is_no_place_for_the_only_copy(
    s3_server: S3Server, lasting: dict[object, ColdArchive], source: Path
) -> None:
    s3_server.ignored, cold = EVERY, lasting[frozenset[str](), EVERY]

    def spoil(call: Call, _: int) -> None:
        if call.method in {"PUT", "POST"}:
            for there in s3_server.keys(PREFIX):
                s3_server.put(there, bytes(source.stat().st_size))

    with s3_server.hooked(after=spoil), pytest.raises(StorageError, match="is not what was archived"):
        put(cold, source)
    assert s3_server.keys() == []


def test_an_upload_that_is_cancelled_leaves_nothing(s3_server: S3Server, opened: Opener, tmp_path: Path) -> None:
    cancel = threading.Event()
    cold = opened(cancel=cancel, sizes=replace(SIZES, workers=1))

    def stop_at_the_first_part(call: Call) -> None:
        if call.method == "PUT":
            cancel.set()

    with s3_server.hooked(stop_at_the_first_part), pytest.raises(CancelledError):
        put(cold, written(tmp_path / "large", LARGE))
    assert len(of_copies(s3_server.calls, "PUT")) == 1
    assert (s3_server.content(), s3_server.unfinished()) == ({}, [])


def test_encryption_is_asked_for_wherever_something_is_written(
    s3_server: S3Server, opened: Opener, small: Path
) -> None:
    """A bucket may refuse what comes without, and that would look like a store that compares."""
    put(opened(encryption=Encryption("aws:kms", "key-1")), small)
    assert [call.headers.get("x-amz-server-side-encryption") for call in s3_server.calls if call.method == "PUT"] == [
        "aws:kms",
        "aws:kms",
    ]


# -- confirming


def test_what_is_damaged_on_the_server_is_found(
    s3_server: S3Server, cold: ColdArchive, source: Path, tmp_path: Path
) -> None:
    copy, destination, content = put(cold, source), tmp_path / "back", source.read_bytes()
    for damaged in (content[:-1], content + b"\0", bytes([content[0] ^ 1]) + content[1:], b""):
        s3_server.put(key(copy), damaged)
        with pytest.raises(DamagedCopyError, match=r"archive/2026/03/talk-[0-9a-f]{16}\.webm is not what was archived"):
            cold.confirm(copy)
        s3_server.calls.clear()
        with pytest.raises(DamagedCopyError):
            cold.fetch(copy, destination)
        assert not destination.exists()
        # Room was made for so many bytes, and no others are asked for.
        assert (of_copies(s3_server.calls, "GET") == []) == (len(damaged) != len(content))


def test_metadata_of_another_content_prove_nothing(s3_server: S3Server, cold: ColdArchive, tmp_path: Path) -> None:
    """The checksum of an object in parts is believed only together with the SHA-256 of the whole beside it."""
    mine, other = (written(tmp_path / str(seed), LARGE, seed) for seed in (1, 2))
    put(cold, other)
    copy = copy_of(mine, cold.uri(NAME, sha256(mine)))
    there = key(copy_of(other, cold.uri(NAME, sha256(other))))
    head = s3_server.head(there)
    s3_server.put(key(copy), other.read_bytes())
    told = {**head, "etag": s3_server.head(key(copy))["etag"], SHA256: head["x-amz-meta-checksum-sha256"]}
    with (
        s3_server.hooked(lambda call: Answer(200, b"", told) if call.method == "HEAD" else None),
        pytest.raises(DamagedCopyError, match="read to its end"),
    ):
        cold.confirm(copy)


def test_what_is_gone_is_missing(s3_server: S3Server, cold: ColdArchive, source: Path, tmp_path: Path) -> None:
    copy = put(cold, source)
    cold.remove(copy)
    assert s3_server.keys() == []
    cold.remove(copy)
    looks: list[Callable[[], None]] = [lambda: cold.confirm(copy), lambda: cold.fetch(copy, tmp_path / "back")]
    for look in looks:
        with pytest.raises(RemoteFileMissingError, match=r"which stands for 2026/03/talk\.webm, does not exist"):
            look()
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("answer", [refusal(503, "SlowDown"), refusal(403, "AccessDenied"), None])
def test_a_store_that_does_not_answer_says_nothing_about_the_copy(
    s3_server: S3Server, cold: ColdArchive, small: Path, answer: Answer | None
) -> None:
    copy = put(cold, small)

    def fail(_: Call) -> Answer | None:
        if answer is None:
            raise Drop
        return answer

    with s3_server.hooked(fail), pytest.raises((TransientError, AuthenticationError)) as raised:
        cold.confirm(copy)
    assert not isinstance(raised.value, DamagedCopyError)
    cold.confirm(copy)


def test_a_refused_probe_is_no_proof_that_the_store_compares(s3_server: S3Server, opened: Opener, small: Path) -> None:
    s3_server.ignored, cold = EVERY, opened()

    def refuse(call: Call) -> Answer | None:
        is_probe = call.method == "PUT" and ".probe" in call.key
        return refusal(400, "InvalidRequest") if is_probe else claim(s3_server, small.read_bytes(), call)

    with s3_server.hooked(refuse):
        assert cold.put(small, NAME, sha256(small), "STANDARD").checked_by == "reading back"


# -- bringing back


def test_it_comes_back_as_it_was(s3_server: S3Server, cold: ColdArchive, source: Path, tmp_path: Path) -> None:
    copy, destination, elsewhere = put(cold, source), tmp_path / "back", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"not ours")
    destination.symlink_to(elsewhere)
    cold.fetch(copy, destination)
    assert destination.read_bytes() == source.read_bytes()
    assert elsewhere.read_bytes() == b"not ours"


def test_a_connection_that_breaks_goes_on_where_it_broke(
    s3_server: S3Server, opened: Opener, small: Path, tmp_path: Path
) -> None:
    copy = put(opened(), small)
    with tcp_proxy(s3_server.url, lambda number: Fault("to client", 50_000) if number in {1, 2} else None) as proxy:
        opened(proxy.url).fetch(copy, tmp_path / "back")
        assert proxy.struck == 2
    assert (tmp_path / "back").read_bytes() == small.read_bytes()
    starts = [call.headers["range"] for call in of_copies(s3_server.calls, "GET")]
    assert [text.partition("-")[2] for text in starts] == ["99999", "99999", "99999", "199999", "200000"]
    assert len(set(starts)) == 5


def test_a_store_that_knows_no_ranges_is_noticed(
    s3_server: S3Server, cold: ColdArchive, small: Path, tmp_path: Path
) -> None:
    copy = put(cold, small)
    headers = {"ETag": s3_server.head(key(copy))["etag"], "Content-Length": str(copy.size_bytes)}
    everything = Answer(200, small.read_bytes(), headers)
    with (
        s3_server.hooked(lambda call: everything if call.method == "GET" else None),
        pytest.raises(StorageError, match="other bytes than it was asked for"),
    ):
        cold.fetch(copy, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_an_object_that_is_replaced_while_it_is_read(
    s3_server: S3Server, cold: ColdArchive, small: Path, tmp_path: Path
) -> None:
    copy = put(cold, small)

    def replace_it(call: Call, _: int) -> None:
        if call.method == "GET":
            s3_server.put(key(copy), bytes(copy.size_bytes))

    with s3_server.hooked(after=replace_it), pytest.raises(StorageError, match="PreconditionFailed"):
        cold.fetch(copy, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_reading_that_is_cancelled_ends_in_the_midst(s3_server: S3Server, opened: Opener, tmp_path: Path) -> None:
    cancel = threading.Event()
    cold = opened(cancel=cancel)
    copy = put(cold, written(tmp_path / "source", 50_000))
    with (
        s3_server.hooked(lambda call: cancel.set() if call.method == "GET" else None),
        pytest.raises(CancelledError),
    ):
        cold.fetch(copy, tmp_path / "back")
    assert not (tmp_path / "back").exists()


# -- classes from which nothing can be read


@pytest.mark.parametrize(
    ("storage_class", "hours", "size_bytes"),
    [("GLACIER", "3 to 5 hours", LARGE), ("DEEP_ARCHIVE", "up to 12 hours", SMALL)],
)
def test_what_is_frozen_is_proved_and_thawed_when_it_is_wanted(
    s3_server: S3Server, cold: ColdArchive, tmp_path: Path, storage_class: str, hours: str, size_bytes: int
) -> None:
    source, destination = written(tmp_path / "source", size_bytes), tmp_path / "back"
    copy = put(cold, source, storage_class)
    cold.confirm(copy)
    assert of_copies(s3_server.calls, "GET") == []
    with slow_thawing():
        with pytest.raises(ThawingError, match=f"lies in {storage_class} .* is asked for now, and takes {hours}"):
            cold.fetch(copy, destination)
        with pytest.raises(ThawingError, match="was asked for before"):
            cold.fetch(copy, destination)
        asked = [call for call in s3_server.calls if "restore" in call.query]
        assert len(asked) == 1
        assert b"<Days>7</Days>" in asked[0].body
        assert b"<Tier>Standard</Tier>" in asked[0].body
        assert not destination.exists()
        cold.confirm(copy)
    cold.fetch(copy, destination)
    assert destination.read_bytes() == source.read_bytes()


def test_thawing_that_somebody_else_has_asked_for(
    s3_server: S3Server, cold: ColdArchive, small: Path, tmp_path: Path
) -> None:
    copy = put(cold, small, "GLACIER")
    asked = threading.Event()

    def ask_first(call: Call) -> Answer | None:
        if "restore" in call.query:
            asked.set()
            return refusal(409, "RestoreAlreadyInProgress")
        if call.method == "HEAD" and asked.is_set():
            return Answer(200, b"", {**s3_server.head(call.key), "x-amz-restore": 'ongoing-request="true"'})
        return None

    with s3_server.hooked(ask_first), pytest.raises(ThawingError, match="was asked for before"):
        cold.fetch(copy, tmp_path / "back")


def test_thawing_that_is_refused_is_not_awaited(
    s3_server: S3Server, cold: ColdArchive, small: Path, tmp_path: Path
) -> None:
    copy = put(cold, small, "GLACIER")
    with (
        s3_server.hooked(lambda call: refusal(503, "GlacierExpeditedRetrievalNotAvailable") if call.query else None),
        pytest.raises(StorageError, match="NotAvailable"),
    ):
        cold.fetch(copy, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_where_nothing_can_be_read_and_no_checksum_is_known_the_md5_has_to_do(
    s3_server: S3Server, lasting: dict[object, ColdArchive], source: Path
) -> None:
    s3_server.ignored, cold = EVERY, lasting[frozenset[str](), EVERY]
    uploaded = cold.put(source, NAME, sha256(source), "GLACIER")
    copy = copy_of(source, uploaded.uri, "GLACIER")
    assert uploaded.checked_by == "MD5"
    cold.confirm(copy)
    s3_server.other_etags = True
    with pytest.raises(StorageError, match=r"nothing proves that it is whole.* What it stands for is kept") as raised:
        cold.confirm(copy)
    assert not isinstance(raised.value, DamagedCopyError)


@pytest.mark.parametrize(("refused", "ignored"), [(EVERY, frozenset()), (frozenset(), EVERY)])
def test_what_cannot_be_proved_is_said_and_not_sent_again(
    s3_server: S3Server,
    lasting: dict[object, ColdArchive],
    source: Path,
    refused: frozenset[str],
    ignored: frozenset[str],
) -> None:
    cold = lasting[refused, ignored]
    s3_server.refused, s3_server.ignored, s3_server.other_etags = refused, ignored, True
    for _ in range(2):
        with pytest.raises(StorageError, match="such as GLACIER_IR"):
            put(cold, source, "GLACIER")
    sent = [call for call in of_copies(s3_server.calls, "PUT") if not EVERY & call.headers.keys() or ignored]
    assert len(sent) == (1 if source.stat().st_size == SMALL else 3)


# -- names, rights


@given(name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda name: Path(name).name))
@example(name="a.")
@example(name="2026/.hidden")
@example(name="100% #1?&+ä.tar.gz")
def test_a_uri_leads_back_to_its_key(name: str) -> None:
    content = hashlib.sha256(name.encode()).hexdigest()
    there = key_for(PREFIX, name, content)
    copy = Copy("cold", name, 1, content, "opus", 64, "", datetime(2026, 4, 1, tzinfo=UTC), "", uri_of(BUCKET, there))
    assert key_of(BUCKET, copy) == there
    assert key_for(PREFIX, name, hashlib.sha256(there.encode()).hexdigest()) != there


def test_a_name_that_is_hard_to_write(s3_server: S3Server, cold: ColdArchive, small: Path, tmp_path: Path) -> None:
    copy = put(cold, small, name="März/100% #1?&+.webm")
    cold.confirm(copy)
    cold.fetch(copy, tmp_path / "back")
    cold.remove(copy)
    assert s3_server.keys() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"uri": "s3://another/archive/2026/03/talk-{sha256}.webm"},
        {"uri": "archive/2026/03/talk-{sha256}.webm"},
        {"uri": ""},
        {"uri": "s3://bucket/archive/2026/03/talk.webm"},
        {"sha256": hashlib.sha256(b"another").hexdigest()},
        {"sha256": ""},
        {"place": "library"},
    ],
)
def test_a_record_that_names_something_else_touches_nothing(
    s3_server: S3Server, cold: ColdArchive, small: Path, tmp_path: Path, wrong: dict[str, str]
) -> None:
    good = put(cold, small)
    s3_server.put("archive/2026/03/talk.webm", b"somebody's")
    before = s3_server.content()
    there = {name: value.format(sha256=good.sha256[:16]) for name, value in wrong.items()}
    copy = replace(good, **there)  # type: ignore[arg-type]
    acts: list[Callable[[], None]] = [
        lambda: cold.remove(copy),
        lambda: cold.confirm(copy),
        lambda: cold.fetch(copy, tmp_path / "back"),
    ]
    for act in acts:
        with pytest.raises(LibraryError, match=r"2026/03/talk\.webm"):
            act()
    assert s3_server.content() == before


@pytest.mark.parametrize(
    ("ignored", "expected"), [(frozenset[str](), "are compared"), (EVERY, "are not compared, so all that is sent is")]
)
def test_the_doctor_is_told_what_the_store_can_do(
    s3_server: S3Server, lasting: dict[object, ColdArchive], ignored: frozenset[str], expected: str
) -> None:
    s3_server.ignored, cold = ignored, lasting[frozenset[str](), ignored]
    said = cold.check_writable()
    assert said.startswith(f"s3://bucket/archive/ can be written and read; checksums {expected}")
    assert s3_server.keys() == []


def test_the_policy_is_the_least_that_works(s3_server: S3Server, opened: Opener, small: Path, tmp_path: Path) -> None:
    cold = opened()
    s3_server.policy = policy = least_policy(BUCKET, PREFIX)
    cold.check_writable()
    for path, storage_class in ((small, "GLACIER"), (written(tmp_path / "large", LARGE), "STANDARD")):
        copy = put(cold, path, storage_class)
        cold.confirm(copy)
        with pytest.raises(ThawingError) if storage_class == "GLACIER" else s3_server.hooked():
            cold.fetch(copy, tmp_path / "back")
        cold.remove(copy)
        with pytest.raises(RemoteFileMissingError):  # and not "denied", as AWS says
            cold.confirm(copy)
    cancel = threading.Event()
    with s3_server.hooked(lambda call: cancel.set() if call.method == "PUT" else None), pytest.raises(CancelledError):
        put(opened(cancel=cancel), tmp_path / "large")
    needs = {need for call in s3_server.calls for need in needs_of(call)}
    for statement in policy["Statement"]:
        for action in statement["Action"]:
            assert any(grants({**statement, "Action": [action]}, need) for need in needs), action
    assert all(any(grants(statement, need) for statement in policy["Statement"]) for need in needs)
    s3_server.put("elsewhere/talk-0123456789abcdef.webm", b"x")
    with pytest.raises(AuthenticationError):
        cold.remove(replace(copy, uri=f"s3://bucket/elsewhere/talk-{copy.sha256[:16]}.webm"))


def needs_of(call: Call) -> tuple[Need, ...]:
    if "restore" in call.query:
        return (Need("s3:RestoreObject", f"arn:aws:s3:::{BUCKET}/{call.key}"),)
    return call.needs


def test_a_key_of_kms_is_added_by_its_name_only() -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:key/1"
    with_key, without = least_policy(BUCKET, PREFIX, arn), least_policy(BUCKET, PREFIX)
    assert with_key["Statement"][:-1] == without["Statement"]
    assert (with_key["Statement"][-1]["Resource"], "kms:Decrypt" in with_key["Statement"][-1]["Action"]) == (arn, True)


def test_several_threads_try_the_store_once(s3_server: S3Server, opened: Opener, tmp_path: Path) -> None:
    cold = opened()
    paths = [written(tmp_path / f"{seed}.webm", 20_000, seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        copies = list(pool.map(lambda path: put(cold, path, name=path.name), paths))
    assert len([call for call in s3_server.calls if ".probe" in call.key]) == 1
    assert s3_server.content() == {key(copy): path.read_bytes() for copy, path in zip(copies, paths, strict=True)}
