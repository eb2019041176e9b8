"""Find a learning rate by short runs."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import require
from gradtx.core import Params, Transformation, keeps_contract, supported
from gradtx.core.hyperparameters import hyperparameters, refuse_unknown
from gradtx.errors import names_errors, unnamed
from gradtx.schedules.decay import cosine_decay_schedule
from gradtx.tree import mismatch
from gradtx.tuning.learning_rates import LearningRates
from gradtx.tuning.rate_runs import BatchAt, Task, losses_at
from gradtx.tuning.rates_read import of_race, of_range
from gradtx.wrappers.adjustable import adjustable

_NAMES = ("learning_rate", "lr")


@names_errors
@keeps_contract(low=require.POSITIVE, high=require.POSITIVE, num_rates=require.Range(low=3), num_steps=require.Range(low=10))
def find_learning_rate(
    loss_fn: Callable[..., Any],
    params: Params,
    tx: Transformation,
    batches: Any,
    *,
    method: Literal["race", "range"] = "race",
    low: float = 1e-5,
    high: float = 10.0,
    num_rates: int = 19,
    num_steps: int = 200,
    path: str | Sequence[str] | None = None,
    key: jax.Array | None = None,
) -> LearningRates:
    """Find a learning rate for a model, its data and an optimizer, by short runs.

        found = gradtx.find_learning_rate(loss, params, gradtx.adamw(1e-3), batches)
        print(found)
        optimizer = gradtx.adamw(found.suggestion)

    - "race": rates from `low` to `high` in equal ratios start together, in one `vmap`, and each takes `num_steps` steps with
      the same batches, while it falls to 0 along a cosine. The suggestion is the geometric middle between the best rate and
      the smallest that comes nearly as far, 98 % of the way from the first loss to the least: the longer a run, the smaller is
      its best rate.
    - "range": one run, whose rate grows from `low` to `high` in equal ratios, until its loss has exploded. The suggestion is
      the rate where the smoothed loss falls fastest. It takes one run instead of many, and says less: that a loss falls at a
      rate does not say that it goes on falling.

    A schedule of `tx` gives way to these rates. The suggestion of a race is for the peak of a schedule that falls to 0; a rate
    that is held should be about half of it. Where `tx` has several learning rates, as groups have, they keep their proportion
    to the largest, which is the one that is suggested.
    Nothing that was given is changed. Equal arguments give equal results.

    Args:
      loss_fn: a function of the parameters and a batch that returns a real number.
      params: the parameters to begin with, as they are initialized.
      tx: an optimizer made of functions of gradtx; what its updates read of `value`, `grad` and `value_fn` it gets.
      batches: a tree of arrays whose first axis counts batches, which are taken in turn, or a function of a key that draws one.
      method: "race" or "range".
      low, high: the least and the largest rate.
      num_rates: of a race, each of which has parameters and a state of its own.
      num_steps: of each run.
      path: of the learning rate among the hyperparameters of `tx`, or several; by default all that are called `learning_rate`
        or `lr`.
      key: what `batches` is called with is split from it; by default `jax.random.key(0)`.

    Raises:
      KeyError: there is no hyperparameter of that path.
      TypeError: a leaf of `params` is not a floating-point or complex array, or an argument is of another kind.
      ValueError: `low` is not below `high`; `tx` has no learning rate; the loss is not a finite number at the first batch; or
        every rate makes it explode.

    References:
      Bjorck et al., Scaling Optimal LR Across Token Horizons, 2024, https://arxiv.org/abs/2409.19913 (longer runs)
      Smith, Cyclical Learning Rates for Training Neural Networks, 2015, https://arxiv.org/abs/1506.01186 (the range test)
    """
    if low >= high:
        raise unnamed(ValueError, f"low must be below high, got {low} and {high}.")
    mismatch.check_params(params)
    weights = _weights(supported(tx), [path] if isinstance(path, str) else path)
    batch_at, data = _drawn(batches, jax.random.key(0) if key is None else key) if callable(batches) else _in_turn(batches)
    task = Task(loss_fn, batch_at, adjustable(tx), weights)
    _check_first_loss(task, params, data)
    rates = jnp.geomspace(low, high, num_rates if method == "race" else num_steps)
    of_run = functools.partial(losses_at, task)
    if method == "race":
        of_runs = jnp.outer(rates, cosine_decay_schedule(1.0, num_steps)(jnp.arange(num_steps)))
        curves = jax.jit(jax.vmap(of_run, in_axes=(None, None, 0)))(params, data, of_runs)
        return of_race(np.asarray(rates), np.asarray(curves))
    return of_range(np.asarray(rates), np.asarray(jax.jit(of_run)(params, data, rates)))


def _weights(tx: Transformation, paths: Sequence[str] | None) -> dict[str, float]:
    """The learning rates of an optimizer, by path, as parts of the largest."""
    known = hyperparameters(tx)
    refuse_unknown(paths or (), known)
    chosen = paths or [path for path in known if path.rpartition(".")[2] in _NAMES]
    if not chosen:
        raise unnamed(ValueError, f"{tx!r} has no learning rate; pass its path, one of {', '.join(known) or 'none'}.")
    given = {path: known[path] for path in chosen}
    if len(given) == 1:
        return dict.fromkeys(given, 1.0)
    follows = [path for path, rate in given.items() if callable(rate)]
    if follows:
        raise unnamed(ValueError, f"{follows[0]} follows a schedule, and is one of {len(given)} rates; pass the path of one.")
    largest = max(float(rate) for rate in given.values())
    return {path: float(rate) / largest if largest else 1.0 for path, rate in given.items()}


def _drawn(draw: Callable[[jax.Array], Any], key: jax.Array) -> tuple[BatchAt, jax.Array]:
    return lambda key, step: draw(jax.random.fold_in(key, step)), key


def _in_turn(batches: Any) -> tuple[BatchAt, Any]:
    sizes = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else 0 for leaf in jax.tree.leaves(batches)}
    if len(sizes) != 1 or 0 in sizes:
        raise unnamed(ValueError, f"the first axis of batches must count them; its sizes are {sorted(sizes) or 'none'}.")
    [number] = sizes
    return lambda batches, step: jax.tree.map(lambda leaf: leaf[step % number], batches), jax.tree.map(jnp.asarray, batches)


def _check_first_loss(task: Task, params: Params, data: Any) -> None:
    loss = task.loss(params, task.batch_at(data, jnp.zeros((), jnp.int32)))
    if jnp.shape(loss) != ():
        raise unnamed(ValueError, f"loss_fn must return a number, got an array of shape {jnp.shape(loss)}.")
    if not jnp.isfinite(loss):
        raise unnamed(ValueError, f"the loss is {loss} from the start, at the parameters given and the first batch.")
