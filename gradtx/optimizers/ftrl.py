"""FTRL-Proximal: follow the regularized leader (McMahan et al. 2013)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    at_step,
    chain,
    factory,
    tells,
)
from gradtx.numerics import Count, added_finitely, bounded_square, safe_increment, squarable
from gradtx.require import NONNEGATIVE, Range
from gradtx.transforms.scale import scale

FTRL_RANGES: dict[str, Range] = {
    "power": NONNEGATIVE,
    "l1": NONNEGATIVE,
    "l2": NONNEGATIVE,
    "l2_shrinkage": NONNEGATIVE,
    "beta": NONNEGATIVE,
}


class ScaleByFtrlState(NamedTuple):
    """Steps taken, sum of the squares of the gradient, the linear function whose minimum the parameters are."""

    count: Count
    sum_of_squares: Updates
    linear: Updates


@factory(**FTRL_RANGES)
def scale_by_ftrl(
    learning_rate: ScalarOrSchedule,
    power: float = 0.5,
    initial_accumulator_value: float = 0.1,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    l2_shrinkage: float = 0.0,
    beta: float = 0.0,
) -> GradientTransformation:
    """FTRL's updates: minus the way to the minimum of all gradients so far, as linear functions, and of a penalty.

        z ← z + g + 2·l2_shrinkage·p − ((n + |g|²)^power − n^power)/η · p
        n ← n + |g|²
        p' = −sign(z)·max(|z| − l1, 0) / ((beta + n^power)/η + 2·l2)
        u = p − p'

    With l1 many parameters are exactly 0. A step with η = 0 is left out, and where nothing is known yet, as all that is
    divided by is 0, p stays. Where p starts is forgotten as gradients come.

    Args:
      learning_rate: η, a number or a schedule.
      power: how fast the rate of each coordinate falls with the sum n of its squares.
      initial_accumulator_value: n at the start.
      l1: weight of the penalty |p|.
      l2: weight of the penalty |p|².
      l2_shrinkage: weight of the penalty |p|² at each step, which n does not see.
      beta: added to n^power.

    References:
      McMahan et al., Ad Click Prediction: a View from the Trenches, 2013, https://doi.org/10.1145/2487575.2488200
    """

    def raised(n: jax.Array) -> jax.Array:
        return jnp.where(n == 0, 0.0**power, jnp.where(n == 0, 1, n) ** power)  # with a derivative at 0

    @tree.lift
    def rule(g, n, z, p, *, rate):
        counts = rate != 0
        rate = jnp.where(counts, rate, 1)  # a step at rate 0 is left out below, with no NaN on its way
        new_n = added_finitely(n, bounded_square(g))
        new_z = z + squarable(g) + 2 * l2_shrinkage * p - (raised(new_n) - raised(n)) * p / rate
        divisor = beta + raised(new_n) + 2 * l2 * rate
        moves = counts & (divisor != 0)
        minimum = -jnp.sign(new_z) * jnp.maximum(jnp.abs(new_z) - l1, 0) * rate / jnp.where(moves, divisor, 1)
        return jnp.where(moves, p - minimum, 0), jnp.where(counts, new_n, n), jnp.where(counts, new_z, z)

    def init(params: Params) -> ScaleByFtrlState:
        start = {"fill_value": initial_accumulator_value, "real": True}
        sum_of_squares = tree.moment_like(params, **start)
        return ScaleByFtrlState(jnp.zeros((), jnp.int32), sum_of_squares, tree.moment_like(params))

    @tells(precise=("sum_of_squares", "linear"))
    def update(updates: Updates, state: ScaleByFtrlState, params: Params):
        rate = at_step(learning_rate, state.count)
        updates, sum_of_squares, linear = rule(updates, state.sum_of_squares, state.linear, params, rate=rate)
        return updates, ScaleByFtrlState(safe_increment(state.count), sum_of_squares, linear)

    return GradientTransformation(init, update)


@factory(**FTRL_RANGES)
def ftrl(
    learning_rate: ScalarOrSchedule,
    power: float = 0.5,
    initial_accumulator_value: float = 0.1,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    l2_shrinkage: float = 0.0,
    beta: float = 0.0,
) -> GradientTransformationExtraArgs:
    """FTRL (follow the regularized leader): its penalty makes parameters exactly 0; for sparse linear models.

        Δp = p' − p        p' of `scale_by_ftrl`

    Args:
      learning_rate, power, initial_accumulator_value, l1, l2, l2_shrinkage, beta: as in `scale_by_ftrl`.

    Conventions:
      Keras's, with its defaults, by shorter names and a positive power; exactly Keras's is `interop.keras.ftrl`. The paper's n
      begins at 0, and its beta is 1.

    References:
      McMahan et al., Ad Click Prediction: a View from the Trenches, 2013, https://doi.org/10.1145/2487575.2488200
    """
    options = {"l1": l1, "l2": l2, "l2_shrinkage": l2_shrinkage, "beta": beta}
    return chain(scale_by_ftrl(learning_rate, power, initial_accumulator_value, **options), scale(-1.0))
