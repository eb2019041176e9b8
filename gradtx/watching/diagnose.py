"""Tell from its losses, and from its record, whether a run is healthy."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from gradtx.errors import names_errors, unnamed
from gradtx.watching import loss_curve
from gradtx.watching.diagnosis import Diagnosis, Finding
from gradtx.watching.loss_curve import LossCurve

# Between the values that healthy and ill runs had (tests/watching/record_runs.py; those of seed 0).
_FEWEST = 20  # losses
_SPIKE, _HIGH = 1.5, 5.0  # times the first loss: no spike if single batches differ as much, and a spike in any case
_EARLY = 0.2  # share of the run, in which a spike is one of its beginning
_GROWN = 3.0  # times the first loss, before it was not finite
_UNREST = 0.1  # noise beside the way that the loss has gone
_RISEN = 0.1  # of that way, lost again at the end
_SLOW, _MAYBE_SLOW = 0.09, 0.065  # share of the run, after which half of the way was done
_CONVERGED = 0.1  # of the first loss, below which a loss that no longer falls has nothing to fall to
_DONE = 0.03  # of the first loss, below which it does not matter how long it took
_STILL = 0.03  # how much the logarithm of a loss falls in half of a run that stands still
_LEAP, _WILD = 0.2, 0.06  # update_ratio of a first step that is too large, and of first steps that are
_FALLEN = 0.8  # of the first loss: what has fallen so far was not thrown about
_MOVES, _DEAD = 1e-4, 1e-7  # update_ratio of parameters that move well, and that do not move
_ROUNDED = 0.9  # share of the entries whose steps are rounded away
_ALWAYS, _HARD = 0.95, 0.3  # share of the steps that are clipped, and to what factor

_WARM_UP = "warm-up: warmup_cosine_decay_schedule with 5 to 10 % of the steps."


@names_errors
def diagnose(losses: Sequence[float] | np.ndarray, history: Mapping[str, np.ndarray] | None = None) -> Diagnosis:
    """Tell whether a run is healthy, or what is the matter, from its losses and, if there is one, from its record.

        print(diagnose(losses, history(state)))

    - "healthy": the loss has gone most of its way early, and is quiet;
    - "rate too high": it grew until it was not finite, rose, or goes up and down;
    - "rate too low": it falls steadily and slowly, and would go on;
    - "warm-up missing": it shot up in the first steps, and then fell as it should;
    - "plateau": it has stopped falling, at more than a tenth of where it began;
    - "not finite": infinite or NaN without having grown;
    - "dead updates": parameters do not move, as steps are tiny or 16 bits round them away;
    - "clipped": slow, where nearly every gradient is clipped hard;
    - "cannot tell": too few losses, or between two of these.

    The thresholds lie between what healthy and ill training runs of small networks have shown. They are rules of thumb: a loss
    that has to stand still for long before it falls, as some do, is called a plateau.

    Args:
      losses: that of each step, or of each so many steps, from the first on. A mean over some steps hides spikes.
      history: what `history(state)` returns.

    Raises:
      TypeError: the losses are not a sequence of numbers.
      ValueError: there is no loss.
    """
    values = np.asarray(losses)
    if values.ndim != 1 or not (np.issubdtype(values.dtype, np.number) or not values.size):
        raise unnamed(TypeError, f"losses must be numbers in a row, got an array of shape {values.shape} and {values.dtype}.")
    if not len(values):
        raise unnamed(ValueError, "there is no loss to look at.")
    record = dict(history or {})
    found = _judged(values.astype(np.float64), record)
    return Diagnosis(found.kind, found.evidence, found.advice, tuple(_notes(found, record)))


def _judged(losses: np.ndarray, record: Mapping[str, np.ndarray]) -> Finding:
    if not np.isfinite(losses[0]):
        return _not_finite(0, record)
    curve = loss_curve.read(losses)
    if curve.nonfinite is not None:
        return _diverged(curve) if curve.peak > _GROWN * abs(curve.start) else _not_finite(curve.nonfinite, record)
    if curve.steps < _FEWEST:
        return Finding("cannot tell", f"there are {curve.steps} losses, and {_FEWEST} are needed.", "train for longer.")
    signs: list[Callable[[LossCurve, Mapping[str, np.ndarray]], Finding | None]] = [
        _spike, _leaps, _flat, _rise, _slow, _unrest, _plateau,
    ]  # fmt: skip
    return next((finding for sign in signs if (finding := sign(curve, record))), _healthy(curve))


# --- what a loss curve shows ------------------------------------------------------------------------------------------


def _diverged(curve: LossCurve) -> Finding:
    evidence = f"the loss grew from {curve.start:.3g} to {curve.peak:.3g} until it was not finite, at step {curve.nonfinite}."
    return Finding("rate too high", evidence, "a learning_rate 10 times smaller; or find_learning_rate.")


def _not_finite(step: int, record: Mapping[str, np.ndarray]) -> Finding:
    evidence = f"the loss is not finite from step {step} on, and had not grown before."
    shares = record.get("nonfinite", np.zeros(0))
    if np.any(shares > 0):
        first = int(np.argmax(shares > 0))
        evidence += f" At step {record['step'][first]} {shares[first]:.0%} of the entries of the gradients were not finite."
    advice = "in float16 dynamic_loss_scaling around the optimizer; against single bad batches apply_if_finite."
    return Finding("not finite", evidence, advice)


def _spike(curve: LossCurve, record: Mapping[str, np.ndarray]) -> Finding | None:
    if curve.peak <= _SPIKE * abs(curve.start) or curve.peak <= min(curve.usual, _HIGH * abs(curve.start)):
        return None
    seen = f"the loss rose from {curve.start:.3g} to {curve.peak:.3g} after {curve.peak_at:.0%} of the run"
    if curve.peak_at <= _EARLY and _has_recovered(curve):
        evidence = f"{seen}, and fell to {curve.end:.3g} then."
        return Finding("warm-up missing", evidence, _WARM_UP)
    evidence = f"{seen}, and is {curve.end:.3g} at the end."
    return Finding("rate too high", evidence, "a learning_rate 3 to 10 times smaller.")


def _has_recovered(curve: LossCurve) -> bool:
    return curve.fall > 0.3 and curve.unrest <= _UNREST and not _rises(curve)


def _rises(curve: LossCurve) -> bool:
    return curve.end - curve.least > max(_RISEN * (curve.start - curve.least), 3 * curve.noise)


def _flat(curve: LossCurve, record: Mapping[str, np.ndarray]) -> Finding | None:
    """The loss is where it was, or higher."""
    way, doubt = curve.start - curve.end, 3 * curve.noise
    if way > max(doubt, 0.02 * abs(curve.start)):
        return None
    evidence = f"the loss was {curve.start:.3g} and is {curve.end:.3g}"
    if way < -max(doubt, 0.02 * abs(curve.start)):
        return Finding("rate too high", f"{evidence}: it rises.", "a learning_rate 10 times smaller; and the sign of the loss.")
    if (dead := _dead(record, evidence)) is not None:
        return dead
    if "update_ratio" not in record:
        return Finding(
            "cannot tell", f"{evidence}: nothing has happened.", "recorded(optimizer), which tells whether it moves."
        )
    if (slow := _hardly_moves(record, f"{evidence}.")) is not None:
        return slow
    evidence += f", with updates of {_typical(record['update_ratio']):.1e} of the parameters."
    advice = "a smaller learning_rate, another initialization; and whether data and labels belong together."
    return Finding("plateau", evidence, advice)


def _rise(curve: LossCurve, record: Mapping[str, np.ndarray]) -> Finding | None:
    if not _rises(curve):
        return None
    evidence = f"the loss was down at {curve.least:.3g} and is {curve.end:.3g} at the end."
    return Finding("rate too high", evidence, "a learning_rate 3 times smaller, or one that falls: cosine_decay_schedule.")


def _leaps(curve: LossCurve, record: Mapping[str, np.ndarray]) -> Finding | None:
    """The first steps are large beside the parameters."""
    ratio = record.get("update_ratio", np.zeros(0))
    if not len(ratio) or curve.fall > _FALLEN:
        return None
    early = _typical(ratio[: max(3, len(ratio) // 10)])
    if early > _WILD:
        evidence = (
            f"the first updates are {early:.0%} of the parameters, and the loss fell to {curve.end / curve.start:.0%} only."
        )
        return Finding("rate too high", evidence, "a learning_rate 10 times smaller.")
    if ratio[0] > _LEAP:
        evidence = f"the first update was {ratio[0]:.0%} of the parameters, those that followed {early:.1%}."
        return Finding("warm-up missing", evidence, _WARM_UP)
    return None


def _slow(curve: LossCurve, record: Mapping[str, np.ndarray]) -> Finding | None:
    if curve.half_at < _MAYBE_SLOW or curve.end <= _DONE * curve.start:
        return None
    evidence = f"the loss took {curve.half_at:.0%} of the run for half of its way from {curve.start:.3g} to {curve.end:.3g}."
    if (dead := _dead(record, evidence)) is not None:
        return dead
    if curve.half_at < _SLOW:
        if (slow := _hardly_moves(record, evidence)) is not None:
            return slow
        return Finding("cannot tell", evidence, "a learning_rate 3 times larger, to see whether it is better.")
    if _is_clipped_hard(record):
        return Finding("clipped", f"{evidence} {_clipping(record)}", "a larger max_norm, or a larger learning_rate.")
    return Finding("rate too low", evidence, "a learning_rate 3 to 10 times larger; or find_learning_rate.")


def _unrest(curve: LossCurve, record: Mapping[str, np.ndarray]) -> Finding | None:
    if curve.unrest <= _UNREST or curve.noise <= curve.first_noise:  # what single batches differ by is no unrest
        return None
    way = curve.start - curve.least
    evidence = f"the loss goes up and down by {curve.noise:.2g} at the end, beside a way of {way:.3g}."
    advice = "a learning_rate 3 to 10 times smaller; or larger batches."
    return _dead(record, evidence) or Finding("rate too high", evidence, advice)


def _plateau(curve: LossCurve, record: Mapping[str, np.ndarray]) -> Finding | None:
    fall, error = curve.late_fall
    if curve.end <= _CONVERGED * curve.start or fall > max(_STILL, 3 * error):
        return None
    share = curve.end / curve.start
    evidence = f"the loss fell to {curve.end:.3g}, {share:.0%} of where it began, and no further since a quarter of the run."
    if (ill := _dead(record, evidence) or _hardly_moves(record, evidence)) is not None:
        return ill
    advice = "nothing if it cannot be less; else a larger model, another learning_rate, or a restart: sgdr_schedule."
    return Finding("plateau", evidence, advice)


def _healthy(curve: LossCurve) -> Finding:
    evidence = f"the loss fell from {curve.start:.3g} to {curve.end:.3g}, half of the way in {curve.half_at:.1%} of the run."
    return Finding("healthy", evidence, "")


# --- what a record shows ----------------------------------------------------------------------------------------------


def _dead(record: Mapping[str, np.ndarray], seen: str) -> Finding | None:
    """A finding if the parameters hardly move, though they should."""
    if "rounded_away" in record and (share := _typical(record["rounded_away"])) > _ROUNDED:
        evidence = f"{seen} Of the entries of 16-bit parameters that should move {share:.0%} are rounded back."
        return Finding("dead updates", evidence, "compensated or stochastically_rounded around the optimizer.")
    ratio = _ratio_while_learning(record)
    if ratio < _DEAD:
        evidence = f"{seen} Updates are {ratio:.1e} of the parameters."
        return Finding("dead updates", evidence, "a larger learning_rate, unless something freezes what should move: summary.")
    return None


def _hardly_moves(record: Mapping[str, np.ndarray], seen: str) -> Finding | None:
    """A finding if the parameters move little at each step, as long as there is a learning rate."""
    ratio = _ratio_while_learning(record)
    if ratio >= _MOVES:
        return None
    evidence = f"{seen} Updates are {ratio:.1e} of the parameters."
    return Finding("rate too low", evidence, "a learning_rate 10 to 100 times larger; or find_learning_rate.")


def _ratio_while_learning(record: Mapping[str, np.ndarray]) -> float:
    ratio = record.get("update_ratio", np.ones(0))
    rates = record.get("learning_rate", np.ones(len(ratio)))
    return _typical(ratio[rates > 0])


def _typical(column: np.ndarray) -> float:
    return float(np.median(column)) if len(column) else 1.0


def _is_clipped_hard(record: Mapping[str, np.ndarray]) -> bool:
    factors = record.get("clip_factor", np.ones(1))
    return len(factors) > 0 and float(np.mean(factors < 1)) >= _ALWAYS and _typical(factors) < _HARD


def _clipping(record: Mapping[str, np.ndarray]) -> str:
    factors = record["clip_factor"]
    return f"{np.mean(factors < 1):.0%} of the gradients are clipped, most to {_typical(factors):.2g} of what they were."


def _notes(found: Finding, record: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """What a record shows besides."""
    if found.kind != "clipped" and _is_clipped_hard(record):
        yield Finding("clipped", _clipping(record), "a larger max_norm, unless it is meant to normalize.")
    left_out = record.get("steps_left_out", np.zeros(1))
    if len(left_out) and left_out[-1] > 0:
        yield Finding("not finite", f"{left_out[-1]:.0f} steps were left out.", "")
    rates = record.get("learning_rate", np.ones(1))
    if len(rates) > 1 and np.mean(rates == 0) > 0.25:
        yield Finding("plateau", f"the learning rate was 0 in {np.mean(rates == 0):.0%} of the steps.", "a longer schedule.")
