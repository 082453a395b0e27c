"""What an inspection is asked to compute. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from diagnostics.inspection import SECTIONS
from experiments.spec import Refusal

SAMPLES_AT_MOST = 64


@dataclass(frozen=True)
class Asked:
    """How many held-out samples go through the network, and which sections of ``SECTIONS`` are computed.

    Raises ``Refusal`` on construction where that cannot be. The sections are kept in the order of ``SECTIONS``.
    """

    samples: int = 4
    sections: tuple[str, ...] = tuple(SECTIONS)

    def __post_init__(self) -> None:
        if type(self.samples) is not int or not 1 <= self.samples <= SAMPLES_AT_MOST:
            raise Refusal(f"samples must be a whole number from 1 to {SAMPLES_AT_MOST}, but got {self.samples!r}")
        if not self.sections:
            raise Refusal(f"sections must be one or more of {', '.join(SECTIONS)}, but got none")
        for name in self.sections:
            if name not in SECTIONS:
                raise Refusal(f"sections must be of {', '.join(SECTIONS)}, but got {str(name)[:80]!r}")
        object.__setattr__(self, "sections", tuple(name for name in SECTIONS if name in self.sections))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """What ``to_json`` wrote; raises ``Refusal`` where it did not."""
        if set(fields) != {"samples", "sections"} or not isinstance(fields["sections"], list | tuple):
            raise Refusal("a request must hold samples and sections, but holds something else")
        return cls(fields["samples"], tuple(fields["sections"]))

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)
