"""Short runs at given learning rates, each a loop that is compiled once."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from gradtx.core import GradientTransformationExtraArgs, OptState, Params
from gradtx.inspection.hyperparameters import set_hyperparams
from gradtx.numerics import debias
from gradtx.update import apply_updates

_WINDOW = 0.05  # the share of the steps over which losses, which differ from batch to batch, are averaged
_EXPLODED = 3.0  # times the first losses above the least: one that is there by chance may be tiny
_FIRST = 8  # batches


BatchAt: TypeAlias = Callable[[Any, jax.Array], Any]


class Task(NamedTuple):
    """What is trained, and how.

    - `loss`: a function of the parameters and a batch;
    - `batch_at`: a function of the data and the step that returns a batch;
    - `tx`: an adjustable optimizer;
    - `weights`: by path, what its learning rates are multiples of the rate by.
    """

    loss: Callable[[Params, Any], jax.Array]
    batch_at: BatchAt
    tx: GradientTransformationExtraArgs
    weights: Mapping[str, float]


class _Run(NamedTuple):
    params: Params
    state: OptState
    mean: jax.Array  # of the losses, with a weight that its steps tell
    least: jax.Array
    ended: jax.Array


def losses_at(task: Task, params: Params, data: Any, rates: jax.Array) -> jax.Array:
    """Return the smoothed loss at each step of a run, whose learning rate is that of the step; NaN from where it has exploded.

    Args:
      task: what is trained.
      params: those at the beginning.
      data: what batches are made of.
      rates: a learning rate for each step.
    """

    def step(run: _Run, now: tuple[jax.Array, jax.Array]) -> tuple[_Run, jax.Array]:
        count, rate = now
        batch = task.batch_at(data, count)
        loss, gradients = jax.value_and_grad(task.loss)(run.params, batch)
        loss = loss.astype(jnp.float32)
        mean = decay * run.mean + (1 - decay) * loss
        smoothed = mean / debias(decay, count + 1)
        ended = run.ended | ~jnp.isfinite(loss) | (smoothed - run.least > _EXPLODED * first)
        params, state = _stepped(task, run, rate, batch, loss, gradients)
        new = _Run(params, state, mean, jnp.minimum(run.least, smoothed), ended)
        kept = jax.tree.map(lambda old, new: jnp.where(ended, old, new), run, new)  # what has exploded stays as it is
        return kept._replace(ended=ended), jnp.where(ended, jnp.nan, smoothed)

    firsts = jax.lax.map(lambda k: task.loss(params, task.batch_at(data, k)), jnp.arange(_FIRST))
    first = jnp.mean(jnp.abs(firsts)).astype(jnp.float32)
    decay = max(0.9, 1 - 1 / (_WINDOW * len(rates)))
    zero = jnp.zeros((), jnp.float32)
    start = _Run(params, task.tx.init(params), zero, jnp.full((), jnp.inf, jnp.float32), jnp.zeros((), bool))
    return jax.lax.scan(step, start, (jnp.arange(len(rates)), rates))[1]


def _stepped(task: Task, run: _Run, rate: jax.Array, batch: Any, loss: jax.Array, gradients: Params) -> tuple[Params, OptState]:
    values = {path: weight * rate for path, weight in task.weights.items()}
    state = set_hyperparams(task.tx, run.state, values, override=True)
    updates, state = task.tx.update(
        gradients, state, run.params, value=loss, grad=gradients, value_fn=lambda params: task.loss(params, batch)
    )
    return apply_updates(run.params, updates), state
