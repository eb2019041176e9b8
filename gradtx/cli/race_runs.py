"""The runs of a race: an optimizer is compiled for a task, its learning rate is tuned, and it runs from several seeds."""

import bisect
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import GradientTransformation, Schedule, apply_updates, constant_schedule, cosine_decay_schedule, eval_params
from gradtx.cli.tasks import Task

COARSE = 2 / 3  # of the runs for tuning are spread over all rates, the others are near the best


Model: TypeAlias = tuple[Any, Any]
"""Parameters, and the state of an optimizer."""


class Entrant(NamedTuple):
    """An optimizer as it enters a race.

    - `name`: as one writes it;
    - `make`: a function of the schedule of its learning rate;
    - `holds_rate`: whether that stays the same over the run, instead of falling to 0 along a cosine.
    """

    name: str
    make: Callable[[Schedule], GradientTransformation]
    holds_rate: bool = False


class Run(NamedTuple):
    """A run from its first parameters to its last: what was seen at each evaluation, a row each."""

    steps: np.ndarray
    seconds: np.ndarray  # of training until then: without compilation and evaluation
    losses: np.ndarray  # held-out
    points: np.ndarray | None  # the parameters, where the task is one to look at

    @property
    def last_loss(self) -> float:
        """The last held-out loss; infinite where the run has exploded."""
        return float(self.losses[-1]) if np.isfinite(self.losses[-1]) else math.inf

    def until(self, target: float) -> tuple[float, float]:
        """Return the steps and seconds until the held-out loss is at `target`, on straight lines between evaluations."""
        reached = np.flatnonzero(self.losses <= target)
        if not len(reached):
            return math.inf, math.inf
        k = int(reached[0])
        if k == 0:
            return 0.0, 0.0
        before, after = self.losses[k - 1 : k + 1]
        share = (before - target) / (before - after) if np.isfinite(before) else 1.0
        steps, seconds = (float(each[k - 1] + share * (each[k] - each[k - 1])) for each in (self.steps, self.seconds))
        return steps, seconds


class Rules(NamedTuple):
    """What is the same for all: the steps of a run, the runs for tuning, the range of rates, and the seeds."""

    steps: int
    budget: int
    rates: tuple[float, float]
    tuning_seed: int
    seeds: Sequence[int]


class Result(NamedTuple):
    """What came of an optimizer: the held-out loss of each rate that was tried, the rate taken, and a run from each seed."""

    entrant: Entrant
    tried: Mapping[float, float]
    rate: float
    runs: Sequence[Run]
    state_bytes_per_parameter: float

    @property
    def at_an_end(self) -> bool:
        """Whether the rate taken is the least or the largest of those allowed, so that one beyond may be better."""
        return self.rate in (min(self.tried), max(self.tried))


class Race(NamedTuple):
    """A task, the rules, the held-out loss to reach, and what came of each optimizer."""

    task: str
    rules: Rules
    target: float
    results: Sequence[Result]


class Trainer:
    """An optimizer, compiled for a task; learning rate and seed are arguments of what is compiled.

    Args:
      task: what it trains on.
      entrant: the optimizer.
      steps: of a run, over which the learning rate falls.

    Raises:
      TypeError, ValueError: the optimizer cannot train on the task.
    """

    def __init__(self, task: Task, entrant: Entrant, steps: int):
        self.task, self.entrant, self.steps = task, entrant, steps
        rate, key, count = jnp.zeros((), jnp.float32), jax.random.key(0), jnp.zeros((), jnp.int32)
        model = params, state = jax.eval_shape(self._begun, rate, key)
        self._begin = jax.jit(self._begun).lower(rate, key).compile()
        self._advance = jax.jit(self._advanced, donate_argnums=0).lower(model, rate, key, count, count).compile()
        self._evaluate = jax.jit(self._evaluated).lower(model).compile()
        of_state = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        self.state_bytes_per_parameter = of_state / sum(leaf.size for leaf in jax.tree.leaves(params))

    def run(self, rate: float, seed: int, evaluations: int) -> Run:
        """Run from a seed, and look at the held-out loss at the start and then `evaluations` times, the last at the end."""
        ends = np.unique(np.linspace(0, self.steps, min(evaluations, self.steps) + 1).round().astype(np.int32))
        fresh, drawn = jax.random.split(jax.random.key(seed))
        its_rate = jnp.asarray(rate, jnp.float32)
        model = self._begin(its_rate, fresh)
        seen, seconds = [self._look(model)], [0.0]
        for begin, end in itertools.pairwise(ends):
            start = time.perf_counter()
            model = jax.block_until_ready(self._advance(model, its_rate, drawn, begin, end))
            seconds.append(seconds[-1] + time.perf_counter() - start)
            seen.append(self._look(model))
        losses, points = zip(*seen, strict=True)
        return Run(ends, np.asarray(seconds), np.asarray(losses), np.asarray(points) if self.task.frame else None)

    def _look(self, model: Model) -> tuple[float, Any]:
        loss, params = self._evaluate(model)
        return float(loss), np.asarray(params) if self.task.frame else None

    # --- what is compiled ---

    def _begun(self, rate: jax.Array, key: jax.Array) -> Model:
        params = self.task.init(key)
        return params, self._optimizer(rate).init(params)

    def _advanced(self, model: Model, rate: jax.Array, key: jax.Array, begin: jax.Array, end: jax.Array) -> Model:
        """The model after the steps from `begin` to `end`, each on a batch drawn by its number."""
        optimizer = self._optimizer(rate)

        def step(count: jax.Array, model: Model) -> Model:
            params, state = model
            batch = self.task.draw(jax.random.fold_in(key, count))

            def of_batch(params: Any) -> jax.Array:
                return self.task.loss(params, batch)

            value, gradients = jax.value_and_grad(of_batch)(params)
            extra = {"value": value, "grad": gradients, "value_fn": of_batch, "obj_fn": of_batch}  # for those that read them
            updates, state = optimizer.update(gradients, state, params, **extra)
            return apply_updates(params, updates), state

        return jax.lax.fori_loop(begin, end, step, model)

    def _evaluated(self, model: Model) -> tuple[jax.Array, Any]:
        params, state = model
        params = eval_params(state, params)
        return self.task.held_out_loss(params), params

    def _optimizer(self, rate: jax.Array) -> GradientTransformation:
        holds = self.entrant.holds_rate
        return self.entrant.make(constant_schedule(rate) if holds else cosine_decay_schedule(rate, self.steps))


def result_of(trainer: Trainer, rules: Rules, on_run: Callable[[float], None]) -> Result:
    """Tune an optimizer and run it from each seed; `on_run` is called after each run with its last held-out loss."""

    def last_loss(rate: float) -> float:
        loss = trainer.run(rate, rules.tuning_seed, 1).last_loss
        on_run(loss)
        return loss

    tried = tuned(last_loss, *rules.rates, rules.budget)
    rate, runs = best_of(tried), []
    for seed in rules.seeds:
        runs.append(trainer.run(rate, seed, trainer.task.evaluations))
        on_run(runs[-1].last_loss)
    return Result(trainer.entrant, tried, rate, runs, trainer.state_bytes_per_parameter)


def tuned(loss_at: Callable[[float], float], low: float, high: float, budget: int) -> dict[float, float]:
    """Return the loss at each of `budget` rates: first some in equal ratios from `low` to `high`, then others near the best.

    Each of these halves, in its logarithm, the wider gap beside the best so far.

    Args:
      loss_at: a function of a rate; infinite where it explodes.
      low, high: the least and the largest rate.
      budget: how many rates, at least 2.
    """
    coarse = max(2, math.ceil(COARSE * budget))
    tried = {float(rate): loss_at(float(rate)) for rate in np.geomspace(low, high, coarse)}
    for _ in range(budget - coarse):
        rate = _beside_best(tried)
        tried[rate] = loss_at(rate)
    return dict(sorted(tried.items()))


def best_of(tried: Mapping[float, float]) -> float:
    """Return the rate of the least loss, and of equal ones the smallest."""
    return min(sorted(tried), key=lambda rate: tried[rate])


def _beside_best(tried: Mapping[float, float]) -> float:
    rates = sorted(tried)
    k = bisect.bisect_left(rates, best_of(tried))
    gaps = [(rates[j + 1] / rates[j], math.sqrt(rates[j] * rates[j + 1])) for j in (k - 1, k) if 0 <= j < len(rates) - 1]
    return max(gaps, key=lambda gap: round(gap[0], 6))[1]  # of equal gaps the one below
