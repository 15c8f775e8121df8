"""How sure a share is: the exact interval of a proportion."""

import math
from collections.abc import Callable

CONFIDENCE = 0.95


def clopper_pearson(events: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval of a probability after `events` in `trials` (Clopper and Pearson, Biometrika 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else _solve(lambda p: 1 - _binomial_cdf(events - 1, trials, p) - tail)
    high = 1.0 if events == trials else _solve(lambda p: tail - _binomial_cdf(events, trials, p))
    return low, high


def _binomial_cdf(events: int, trials: int, p: float) -> float:
    """Return P(X <= events). Logarithms, since the coefficients overflow beyond a thousand trials."""
    log_n = math.lgamma(trials + 1)
    logs = (
        log_n
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(p)
        + (trials - k) * math.log1p(-p)
        for k in range(events + 1)
    )
    return math.fsum(math.exp(value) for value in logs)


def _solve(rising: Callable[[float], float]) -> float:
    """Return the zero of a rising function on (0, 1) by bisection, to 1e-12."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
