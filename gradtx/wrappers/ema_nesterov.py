"""EMA-Nesterov: gradients are taken ahead of the parameters, in the direction of their mean movement."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    at_step,
    factory,
    forwards_to,
    if_stepped,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.require import DECAY
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.paths import in_containers_of


class EmaNesterovState(NamedTuple):
    """Steps taken, how far ahead the parameters are, mean of their movements, state of the inner transformation."""

    count: Count
    lookahead: jax.Array
    movement: Params
    inner_state: OptState


@factory(lookahead=DECAY)
def ema_nesterov(
    inner: Transformation, lookahead: ScalarOrSchedule = 0.3, decay: float = 0.99
) -> GradientTransformationExtraArgs:
    """EMA-Nesterov: Nesterov's look-ahead around any optimizer: it steps from where the mean movement of many steps leads.

        y = p + lookahead·b                    the parameters, where gradients are taken
        p ← y + the update of `inner`
        b ← decay·b + (1−decay)·(p − p before)

    The parameters of training are y. To evaluate the model, take p: `eval_params(state, params)`. Around `MultiSteps` the steps
    are those of its optimizer.

    Args:
      inner: a transformation whose updates are added to the parameters: place the wrapper around the whole optimizer.
      lookahead: how many mean movements to look ahead, in [0, 1), a number or a schedule, which may be 0 in the first steps and
        in the last.
      decay: of the mean of movements.

    Raises:
      ValueError: `lookahead` or `decay` is not in [0, 1).

    Conventions:
      The author's class looks ahead between two steps of the run, and there by lookahead·η/η₀ if it is told so: both are
      schedules here.

    References:
      Nesterov, A method for solving the convex programming problem with convergence rate O(1/k²), 1983,
        https://www.mathnet.ru/eng/dan46009
      Jordan et al., modded-nanogpt, records of track 3, 2026, https://github.com/KellerJordan/modded-nanogpt
    """
    inner = with_extra_args_support(inner)

    @tree.lift
    def rule(u, b, *, before, after, stepped):
        new = decay * b + (1 - decay) * (u + before * b)
        return jnp.where(stepped, u + after * new, u), jnp.where(stepped, new, b)

    def init(params: Params) -> EmaNesterovState:
        ahead = jnp.zeros((), working_dtype(jax.tree.leaves(params)))
        return EmaNesterovState(jnp.zeros((), jnp.int32), ahead, tree.moment_like(params), inner.init(params))

    @tells(decays={"movement": ("decay", decay)})
    @forwards_to(inner, changes_updates=True)
    def update(updates: Updates, state: EmaNesterovState, params: Params | None = None, **extra_args: Any):
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra_args)
        at_steps = if_stepped(inner, state.inner_state, inner_state)
        count = at_steps(safe_increment(state.count), state.count)
        ahead = jnp.asarray(at_step(lookahead, count), state.lookahead.dtype)
        ahead = at_steps(ahead, state.lookahead)
        updates, movement = rule(updates, state.movement, before=state.lookahead, after=ahead, stepped=at_steps(True, False))
        return updates, EmaNesterovState(count, ahead, movement, inner_state)

    return GradientTransformationExtraArgs(init, update)


def without_lookahead(state: EmaNesterovState, params: Params) -> Params:
    """Return p of a state of `ema_nesterov`, with the parameters as they are where it has holes."""
    movement = in_containers_of(params, state.movement)
    [ahead] = jax.tree.leaves(state.lookahead)  # out of its box, if it is in one
    return _without_lookahead(movement, params, ahead=ahead)


@tree.lift(like="y")
def _without_lookahead(b, y, *, ahead):
    return y - ahead * b
