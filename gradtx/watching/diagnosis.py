"""What a diagnosis of a run says."""

import dataclasses
import html
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "healthy", "rate too high", "rate too low", "warm-up missing", "plateau", "not finite", "dead updates", "clipped",
    "cannot tell",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that a run shows.

    Attributes:
      kind: what it is called.
      evidence: what was measured, in numbers.
      advice: what to try.
    """

    kind: Kind
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}\n  try: {self.advice}" if self.advice else f"{self.kind}: {self.evidence}"


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What is the matter with a run. `print` tells all of it.

    Attributes:
      kind: what it is called in a word or two.
      evidence: what was measured, in numbers.
      advice: what to try; empty for a healthy run.
      notes: what else was seen, which may explain it or matter later.
    """

    kind: Kind
    evidence: str
    advice: str
    notes: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        return "\n".join(map(str, [Finding(self.kind, self.evidence, self.advice), *self.notes]))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
