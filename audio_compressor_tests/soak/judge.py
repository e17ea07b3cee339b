"""Says what is lost, wrong or left over after a night. It trusts nothing that the product says."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audio_compressor.recording import directory_of, metadata_name
from audio_compressor.staging import LOCK_NAME
from audio_compressor_tests.soak.ledger import Ledger, LedgerReader, Receipt
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
        self._world = world
        self._output, self._archive, self._staging = world.output, world.archive, world.staging
        self._sources: Sources = world.sources
        self._reader = LedgerReader(world.home, world.server.root)
        self._last: Ledger | None = None
        self._published: dict[Path, _Heard] = {}
        self.replaced = 0
        self._seen: set[tuple[str, str]] = set()
        self._processed: set[tuple[str, str]] = set()
        self._heard: dict[tuple[Path, int, int, int], _Heard] = {}

    @property
    def published(self) -> int:
        """How many audio files were seen in the destinations; one that was moved from one to the other is one."""
        return len(self._seen)

    @property
    def processed(self) -> frozenset[tuple[str, str]]:
        """The recordings, with the SHA-256 of each version, of which a receipt was seen."""
        return frozenset(self._processed)

    def ledger(self) -> Ledger:
        self._last = self._reader.read()
        return self._last

    def outstanding(self) -> int:
        """How many recordings a night has to do that starts now."""
        receipts = self._last.receipts if self._last else {}
        current = {name: self._sources.current(name).sha256 for name in self._sources.directories()}
        return sum(name not in receipts or receipts[name].source_sha256 != sha256 for name, sha256 in current.items())

    def outputs(self, ledger: Ledger, *, thoroughly: bool = False, may_replace: bool = False) -> Iterator[Finding]:
        """Every file that is there, every file that was there, every receipt. ``thoroughly``: reads all of it again.
        ``may_replace``: since the last look a file may have made place for one of a newer version.
        """
        if thoroughly:
            self._heard.clear()
        heard = {path: self._listen_to(path) for path in self._files()}
        for path, file in heard.items():
            if file.problem:
                yield Finding("wrong", self._name(path), file.problem)
        yield from self._gone_or_changed(heard, may_replace=may_replace)
        for directory, receipt in ledger.receipts.items():
            self._processed.add((directory, receipt.source_sha256))
            published = heard.get(receipt.path)
            colour = "green" if ledger.is_green(directory) else "with a receipt"
            if self._is_overtaken(directory, receipt, heard):
                continue
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
        """Two files that play the same: one version of a recording is to be published once in each format.

        The fallback keeps a copy of what it moved where a killed run does not tell whose it was: that is none.
        """
        seen: dict[tuple[str, str, Path], Path] = {}
        for path in self._files():
            version = self._listen_to(path).version
            if version is not None:
                first = seen.setdefault((version.sha256, path.suffix, path.parent), path)
                if first != path:
                    yield Finding("left over", self._name(path), f"it plays the same as {first.name}")

    def leftovers(
        self, ledger: Ledger, tolerated: frozenset[str] = frozenset(), *, reconciled: bool = False
    ) -> Iterator[Finding]:
        """What is in staging and hidden in the destination, and runs that seem to go on. ``reconciled``: nothing may
        wait for the SFTP server any more, nor lie there half written.
        """
        waiting = self._waiting() if reconciled else []
        for subject in sorted({*self.remains(ledger), *map(str, waiting)} - tolerated):
            yield Finding("left over", subject, "nobody uses it any more")

    def remains(self, ledger: Ledger) -> frozenset[str]:
        staged = (path for path in self._staging.rglob("*") if path.name != LOCK_NAME)
        hidden = {*self._output.glob(".*")} - {*self._waiting()}
        runs = (f"run {run}" for run in ledger.unfinished_runs)
        return frozenset([*map(str, staged), *map(str, hidden), *runs])

    def _waiting(self) -> list[Path]:
        """What says that a result is to go to the SFTP server later, and what was half written there."""
        return [path for kind in (".*.stranded", ".*.stranding") for path in self._output.glob(kind)] + [
            *self._archive.glob(".*")
        ]

    def _files(self) -> list[Path]:
        """The published audio files, in both destinations."""
        found = (path for place in (self._output, self._archive) for path in place.iterdir())
        return sorted(
            path
            for path in found
            if not path.name.startswith(".") and "_compressed" in path.name and directory_of(path.name)
        )

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._world.directory))

    def _gone_or_changed(self, heard: dict[Path, _Heard], *, may_replace: bool) -> Iterator[Finding]:
        for path, known in list(self._published.items()):
            now = heard.get(path)
            if now is None:
                if self._has_moved(path, known, heard) or (may_replace and self._has_successor(known, heard.values())):
                    del self._published[path]
                else:
                    yield Finding("lost", self._name(path), "it was published, and is gone")
            elif now.sha256 != known.sha256:
                if may_replace and self._has_successor(known, [now]):
                    self.replaced += 1
                    self._published[path] = now
                else:
                    yield Finding("lost", self._name(path), "it was published, and has other content now")
        for path, file in heard.items():
            self._published.setdefault(path, file)
            self._seen.add((path.name, file.sha256))

    def _has_moved(self, path: Path, known: _Heard, heard: Mapping[Path, _Heard]) -> bool:
        """From the fallback's directory to the SFTP server."""
        there = (file.sha256 for other, file in heard.items() if other.parent == self._archive)
        return path.parent == self._output and known.sha256 in there

    def _has_successor(self, known: _Heard, files: Iterable[_Heard]) -> bool:
        """Whether one of the files plays a newer version of the same recording."""
        if known.version is None:
            return False
        versions = self._sources.versions(known.version.directory)
        newer = versions[versions.index(known.version) + 1 :]
        return any(file.version in newer for file in files)

    def _is_overtaken(self, directory: str, receipt: Receipt, heard: Mapping[Path, _Heard]) -> bool:
        """Whether a run was ended between replacing the file and saying so; the recording is outstanding then.

        That nothing else was replaced, ``_gone_or_changed`` sees.
        """
        versions = [version for version in self._sources.versions(directory) if version.sha256 == receipt.source_sha256]
        if not versions or self._sources.current(directory) == versions[0]:
            return False
        there = [heard[receipt.path]] if receipt.path in heard else list(heard.values())
        return self._has_successor(_Heard(receipt.sha256, versions[0], None), there)

    def _listen_to(self, path: Path) -> _Heard:
        found = path.stat()
        key = path, found.st_ino, found.st_size, found.st_mtime_ns
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
        paths = (place / metadata_name(directory) for place in (self._output, self._archive))
        return any(path.exists() and path.read_bytes() == self._sources.metadata(directory) for path in paths)
