"""Counts what was done and found, and prints it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import get_args

from audio_compressor_tests.soak.judge import Finding, Verdict


@dataclass
class Tally:
    """``stages`` are where in a night the moments fell; ``missed`` are faults that found no occasion."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    nights: int = 0
    nights_to_sftp: int = 0
    recordings_put: int = 0
    recordings_processed: int = 0
    versions_processed: int = 0
    published: int = 0
    replaced: int = 0
    was_interrupted: bool = False
    left_out: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    def add(self, found: list[Finding]) -> list[Finding]:
        """Gives those that are new: what is lost once stays lost in every later round."""
        known = {(finding.verdict, finding.subject) for finding in self.findings}
        new = [finding for finding in found if (finding.verdict, finding.subject) not in known]
        self.findings += new
        return new

    def count(self, verdict: Verdict) -> int:
        return sum(finding.verdict == verdict for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        return not self.findings

    def lines(self) -> list[str]:
        lines = ["faults injected (and those that found no occasion):"]
        for kind in sorted({*self.faults, *self.missed}):
            too_late = f" ({self.missed[kind]})" if self.missed[kind] else ""
            lines.append(f"  {kind:<26}{self.faults[kind]:>5}{too_late}")
        lines.append(f"  {'all':<26}{sum(self.faults.values()):>5}")
        if self.left_out:
            lines.append(f"left out, for they need root: {', '.join(self.left_out)}")
        if self.stages:
            lines.append("moments: " + ", ".join(f"{stage} {count}" for stage, count in self.stages.most_common()))
        lines.append(f"nights: {self.nights}; of them with results on the SFTP server: {self.nights_to_sftp}")
        processed = f"{self.recordings_processed}, in {self.versions_processed} versions"
        lines.append(f"recordings put: {self.recordings_put}; recordings processed: {processed}")
        lines.append(f"files published: {self.published}; replaced by newer ones later: {self.replaced}")
        lines.append("; ".join(f"{verdict}: {self.count(verdict)}" for verdict in get_args(Verdict)))
        lines += [f"  {finding}" for finding in self.findings]
        lines.append(f"seed: {self.seed}")
        return lines
