"""Quantiles of measured times, and how many times it takes before one may be quoted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SURE = 0.95  # with so much certainty one of the samples lies beyond the quantile that is quoted


def samples_needed(share: float) -> int:
    """Return how many samples the quantile `share` takes: 59 for p95, 299 for p99, 2,995 for p99.9.

    With fewer, all of them lie below it too often (share ** n > 5 %), and the largest says nothing of it: Wilks, Determination of sample
    sizes for setting tolerance limits, Annals of Mathematical Statistics 12 (1941).
    """
    return math.ceil(math.log(1 - SURE) / math.log(share))


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What is said of a number of times, in the unit they came in. None: too few samples to say it."""

    samples: int
    p50: float
    p99: float | None
    p999: float | None
    worst: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quantiles":
        """Return the quantiles of one value or more."""
        ordered = sorted(values)
        return cls(
            len(ordered), _rank(ordered, 0.5), _known(ordered, 0.99), _known(ordered, 0.999), ordered[-1]
        )

    def fields(self, unit: str = "ms", prefix: str = "") -> dict[str, float | int | None]:
        """Return them as fields of a row: `p50_ms`, `p99_ms`, `p999_ms`, `max_ms`, `samples`, each behind the prefix."""
        named = {"p50": self.p50, "p99": self.p99, "p999": self.p999, "max": self.worst}
        fields = {
            f"{prefix}{name}_{unit}": None if value is None else round(value, 4)
            for name, value in named.items()
        }
        return {**fields, f"{prefix}samples": self.samples}


def _known(ordered: Sequence[float], share: float) -> float | None:
    return _rank(ordered, share) if len(ordered) >= samples_needed(share) else None


def _rank(ordered: Sequence[float], share: float) -> float:
    """Return the least value that at least `share` of all do not exceed."""
    return float(ordered[max(1, math.ceil(share * len(ordered))) - 1])
