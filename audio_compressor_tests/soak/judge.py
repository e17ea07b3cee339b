"""Says what is lost, wrong or left over after a night. It trusts nothing that the product says."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audio_compressor.recording import directory_of, metadata_name
from audio_compressor.staging import LOCK_NAME
from audio_compressor_tests.soak.ledger import Ledger, LedgerReader
from audio_compressor_tests.soak.listening import Unplayable, listen
from audio_compressor_tests.soak.sources import Sources, Version
from audio_compressor_tests.soak.world import World

Verdict = Literal["lost", "wrong", "left over"]


@dataclass(frozen=True)
class Finding:
    """``subject`` names the file, recording, run or process; the same fault of the same subject is counted once."""

    verdict: Verdict
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.subject}: {self.text}"


@dataclass(frozen=True)
class _Heard:
    """A published audio file: ``version`` is the one whose melody it plays, ``problem`` why it plays none."""

    sha256: str
    version: Version | None
    problem: str | None


class Judge:
    """Sees one world after each round; remembers what was published, so that it notices what goes or changes."""

    def __init__(self, world: World) -> None:
        self._output, self._staging = world.output, world.staging
        self._sources: Sources = world.sources
        self._reader = LedgerReader(world.home)
        self._last: Ledger | None = None
        self._published: dict[str, str] = {}
        self._heard: dict[tuple[str, int, int, int], _Heard] = {}

    @property
    def published(self) -> int:
        """How many audio files were seen in the destination."""
        return len(self._published)

    def ledger(self) -> Ledger:
        self._last = self._reader.read()
        return self._last

    def outstanding(self) -> int:
        """How many recordings a night has to do that starts now."""
        receipts = self._last.receipts if self._last else {}
        current = {name: self._sources.current(name).sha256 for name in self._sources.directories()}
        return sum(name not in receipts or receipts[name].source_sha256 != sha256 for name, sha256 in current.items())

    def outputs(self, ledger: Ledger, *, thoroughly: bool = False) -> Iterator[Finding]:
        """Every file that is there, every file that was there, every receipt. ``thoroughly``: reads all of it again."""
        if thoroughly:
            self._heard.clear()
        heard = {path.name: self._listen_to(path) for path in self._files()}
        for name, file in heard.items():
            if file.problem:
                yield Finding("wrong", name, file.problem)
        yield from self._gone_or_changed(heard)
        for directory, receipt in ledger.receipts.items():
            published = heard.get(receipt.path.name) if receipt.path.parent == self._output else None
            colour = "green" if ledger.is_green(directory) else "with a receipt"
            if published is None:
                yield Finding("lost", directory, f"it is {colour}, and its file {receipt.path} is not there")
            elif published.sha256 != receipt.sha256:
                yield Finding("wrong", directory, f"it is {colour}, and {receipt.path.name} has another SHA-256")
            elif published.version is not None:
                played = published.version
                claimed = (directory, receipt.source_sha256, receipt.source_fingerprint)
                if claimed != (played.directory, played.sha256, str(played.fingerprint)):
                    yield Finding("wrong", directory, f"its file was made from another source than {claimed} says")

    def completeness(self, ledger: Ledger, started_at_seconds: float) -> Iterator[Finding]:
        """Whether every recording that was there, settled, when the last night started (Unix time) is done."""
        for directory in self._sources.directories():
            version = self._sources.current(directory)
            if version.settled_at_seconds > started_at_seconds:
                continue
            receipt = ledger.receipts.get(directory)
            if receipt is None or not ledger.is_green(directory):
                state = ledger.states.get(directory, "unknown")
                yield Finding("lost", directory, f"it is {state} after a night that should have done it")
            elif receipt.source_sha256 != version.sha256:
                yield Finding("wrong", directory, "it is green for a version of its source that is no longer there")
            elif not self._has_metadata(directory):
                yield Finding("lost", metadata_name(directory), "it is not there as the server has it")

    def duplicates(self) -> Iterator[Finding]:
        """Two files that play the same: one version of a recording is to be published once in each format."""
        seen: dict[tuple[str, str], str] = {}
        for path in self._files():
            version = self._listen_to(path).version
            if (
                version is not None
                and (first := seen.setdefault((version.sha256, path.suffix), path.name)) != path.name
            ):
                yield Finding("left over", path.name, f"it plays the same as {first}")

    def leftovers(self, ledger: Ledger, tolerated: frozenset[str] = frozenset()) -> Iterator[Finding]:
        """What is in staging and hidden in the destination, and runs that seem to go on."""
        for subject in sorted(self.remains(ledger) - tolerated):
            yield Finding("left over", subject, "nobody uses it any more")

    def remains(self, ledger: Ledger) -> frozenset[str]:
        staged = (path for path in self._staging.rglob("*") if path.name != LOCK_NAME)
        hidden = (path for path in self._output.glob(".*"))
        runs = (f"run {run}" for run in ledger.unfinished_runs)
        return frozenset([*map(str, staged), *map(str, hidden), *runs])

    def _files(self) -> list[Path]:
        """The published audio files."""
        found = (path for path in self._output.iterdir() if not path.name.startswith("."))
        return sorted(path for path in found if "_compressed" in path.name and directory_of(path.name))

    def _gone_or_changed(self, heard: dict[str, _Heard]) -> Iterator[Finding]:
        for name, sha256 in self._published.items():
            if name not in heard:
                yield Finding("lost", name, "it was published, and is gone")
            elif heard[name].sha256 != sha256:
                yield Finding("lost", name, "it was published, and has other content now")
        self._published.update({name: file.sha256 for name, file in heard.items() if name not in self._published})

    def _listen_to(self, path: Path) -> _Heard:
        found = path.stat()
        key = path.name, found.st_ino, found.st_size, found.st_mtime_ns
        if key not in self._heard:
            self._heard[key] = self._recognise(path)
        return self._heard[key]

    def _recognise(self, path: Path) -> _Heard:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            samples = listen(path)
        except Unplayable as error:
            return _Heard(sha256, None, f"it does not decode to its end: {error}")
        versions = self._sources.versions(directory_of(path.name) or "")
        differences = [(version, version.melody.difference(samples)) for version in reversed(versions)]
        for version, difference in differences:
            if difference is None:
                return _Heard(sha256, version, None)
        told: Sequence[str] = [str(difference) for _, difference in differences]
        return _Heard(sha256, None, f"it plays no version of its source: it {'; or it '.join(told) or 'has none'}")

    def _has_metadata(self, directory: str) -> bool:
        path = self._output / metadata_name(directory)
        return path.exists() and path.read_bytes() == self._sources.metadata(directory)
