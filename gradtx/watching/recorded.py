"""Keep a record of a run in the state of its optimizer."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.compiled import compiled, run_if
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    if_stepped,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.require import AT_LEAST_ONE
from gradtx.tree.layout import varying_axes
from gradtx.tree.patterns import Pattern
from gradtx.tree.scopes import is_key
from gradtx.watching.measures import Measure, Step, measured

_NEVER = -1  # the step of a row that is empty yet


class RecordedState(NamedTuple):
    """Steps taken, columns of the record by name, each a ring, and the state of the inner transformation."""

    count: Count
    record: dict[str, jax.Array]
    inner_state: OptState


@factory(every=AT_LEAST_ONE, size=AT_LEAST_ONE)
def recorded(
    inner: Transformation,
    *,
    every: int = 20,
    size: int = 1000,
    groups: Mapping[str, Pattern] | None = None,
    measures: Mapping[str, Measure] | None = None,
) -> GradientTransformationExtraArgs:
    """Keep a record of a run: norms of gradients and updates, learning rates, clipping; its steps stay as they are.

        optimizer = recorded(chain(clip_by_global_norm(1.0), adamw(schedule)))
        ...
        updates, state = optimizer.update(gradients, state, params, value=loss)
        print(history(state))

    The record is on the device, in the state, so that a step does not wait for anyone. It has a row for every so many steps,
    and goes round: of more than `size` rows the last are there. `history(state)` gives it as arrays, and as a flat dictionary
    for each row; `diagnose` reads it.

        step                 number of the update, 0 the first
        loss                 what `update` is given as `value`
        gradient_norm        ‖g‖ of the gradients as they come in
        nonfinite            share of the entries of g that are infinite or NaN
        update_norm          ‖u‖ of the updates that are returned
        parameter_norm       ‖p‖ of the parameters before the step
        update_ratio         ‖u‖ / ‖p‖; 0 where p = 0
        rounded_away         of the entries of 16-bit parameters that u ≠ 0 should move, the share that p + u rounds back to p
        learning_rate        each has a column; several are told apart by their paths
        clip_factor          min(1, max_norm / ‖g‖), where clip_by_global_norm is what gradients meet first
        steps_left_out       since the start, where `apply_if_finite` or `dynamic_loss_scaling` leave steps out

    Those of gradients, updates and parameters are there for each group, too, as "update_norm/embedding". Around `MultiSteps`
    the steps are those of its optimizer, whose last gradients are measured. Place it around the whole optimizer.

    A recorded step computes the updates twice, as the compiler would keep a copy of them in every step otherwise; the other
    steps hardly take longer than without a record.

    Args:
      inner: a transformation.
      every: one of so many steps is recorded, the first among them.
      size: rows that are kept.
      groups: patterns on paths by the names of groups, see `matching`; a parameter is in the first that it matches.
        `top_level_groups(params)` makes one of each part that the parameters have at the top.
      measures: more columns by their names: functions (updates, params, state) that return a number, where the updates are
        those returned and the state is that of `inner` before the step.

    Raises:
      ValueError: `every` or `size` is less than 1, or a measure has the name of another column; when it is used: a pattern
        matches no parameter, or a measure returns an array.
    """
    inner, own_groups, own_measures = with_extra_args_support(inner), dict(groups or {}), dict(measures or {})

    def row(step: Step) -> dict[str, jax.Array]:
        return measured(inner, step, own_groups, own_measures)

    def init(params: Params) -> RecordedState:
        inner_state = inner.init(params)
        zero = jnp.zeros((), jnp.int32)
        columns = jax.eval_shape(lambda: row(Step(zero, params, params, params, inner_state, None)))
        record = {name: jnp.zeros(size, column.dtype) for name, column in columns.items()}
        return RecordedState(zero, record | {"step": jnp.full(size, _NEVER, jnp.int32)}, inner_state)

    @forwards_to(inner, extra_args=frozenset({"value"}))
    @compiled
    def update(updates: Updates, state: RecordedState, params: Params, **extra_args: Any):
        def run(inner_state: OptState) -> tuple[Updates, OptState]:
            return inner.update(updates, inner_state, params, **extra_args)

        def new_row() -> dict[str, jax.Array]:
            new_updates = run(state.inner_state)[0]
            return row(Step(state.count, updates, new_updates, params, state.inner_state, extra_args.get("value")))

        at_steps = _if_steps(inner, state.inner_state, lambda: run(state.inner_state)[1])
        slot = state.count // every % size
        old_row = _varying_as(new_row, {name: column[slot] for name, column in state.record.items()}, (updates, params))
        its_row = run_if(at_steps(state.count % every == 0, False), new_row, otherwise=lambda: old_row)
        new_updates, inner_state = run(_after(its_row, state.inner_state))
        record = {name: column.at[slot].set(its_row[name]) for name, column in state.record.items()}
        count = at_steps(safe_increment(state.count), state.count)
        return _after(its_row, new_updates), RecordedState(count, record, inner_state)

    return GradientTransformationExtraArgs(init, update)


def _if_steps(inner: Transformation, state: OptState, state_after: Callable[[], OptState]) -> Callable[[Any, Any], Any]:
    """What chooses the first of two arrays if an update is a step, see `if_stepped`."""
    every_update_is = if_stepped(inner, state, state)(True, False) is True
    # Of the state after an update that nobody uses the compiler leaves the counters alone.
    return if_stepped(inner, state, state if every_update_is else state_after())


def _varying_as(new_row: Callable[[], Any], old_row: dict[str, jax.Array], arguments: Any) -> dict[str, jax.Array]:
    """Return an old row as a condition between it and a new one asks for it within `shard_map`, on devices of their own."""
    if not any(map(varying_axes, jax.tree.leaves(arguments))):
        return old_row
    kinds = jax.eval_shape(new_row)
    return {name: tree.varying_like(kinds[name], value) for name, value in old_row.items()}


def _after(row: Mapping[str, jax.Array], tree: Any) -> Any:
    """Return a tree that the compiler has to wait for until a row is made.

    In a step that donates its arguments it would copy all that the row is made of otherwise, in case that it comes later than
    what overwrites them.
    """
    made = row["step"] >= _NEVER  # always, which the compiler cannot know
    return jax.tree.map(lambda x: x if is_key(x) else jnp.where(made, x, jnp.zeros((), x.dtype)), tree)
