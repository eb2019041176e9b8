"""What is measured of one step of an optimizer."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.compiled import run_if
from gradtx.core import OptState, Params, Transformation, Updates
from gradtx.errors import unnamed
from gradtx.inspection.hyperparameters import hyperparams
from gradtx.inspection.walk import Node, walk
from gradtx.numerics import Count
from gradtx.tree.patterns import Pattern
from gradtx.watching.parameter_groups import members
from gradtx.wrappers.lookahead import is_pair

Measure: TypeAlias = Callable[[Updates, Params, OptState], Any]
"""A function of the updates, the parameters and the state of the optimizer before the step, that returns a number."""

Row: TypeAlias = dict[str, jax.Array]


class Step(NamedTuple):
    """An update of an optimizer: its number, what goes in, what comes out, and the loss, if it is known."""

    count: Count
    gradients: Updates
    updates: Updates
    params: Params
    state: OptState
    loss: Any


def measured(tx: Transformation, step: Step, groups: Mapping[str, Pattern], measures: Mapping[str, Measure]) -> Row:
    """Return what is measured of a step, by the names of columns; see `recorded`.

    Args:
      tx: the optimizer.
      step: its step.
      groups: patterns on paths by the names of groups.
      measures: more columns by their names.
    """
    fast = _fast(step)
    whole = _norms(fast)
    row = {"step": step.count, "loss": _number("loss", step.loss) if _is_number(step.loss) else _float(0), **whole}
    views = [members(groups, part) for part in (fast.gradients, fast.updates, fast.params)]
    for name in groups:
        gradients, updates, params = (view[name] for view in views)
        own = _norms(fast._replace(gradients=gradients, updates=updates, params=params))
        row |= {f"{column}/{name}": value for column, value in own.items()}
    row |= dict(_rounded_away(fast))
    row |= (
        _learning_rates(tx, step.state) | dict(_clipping(tx, step.state, whole["gradient_norm"])) | dict(_left_out(step.state))
    )
    if taken := next((name for name in measures if name in row), None):
        raise unnamed(ValueError, f"there is a column {taken!r} already; give the measure another name.")
    return row | {name: _number(name, of(step.updates, step.params, step.state)) for name, of in measures.items()}


def _fast(step: Step) -> Step:
    """The step of the parameters that gradients are taken at, where there are two sets, as `lookahead` has them."""
    if not is_pair(step.params):
        return step
    updates, gradients = (part.fast if is_pair(part) else part for part in (step.updates, step.gradients))
    return step._replace(gradients=gradients, updates=updates, params=step.params.fast)


def _norms(step: Step) -> Row:
    gradient_norm, update_norm, parameter_norm = (
        _float(tree.norm(part)) for part in (step.gradients, step.updates, step.params)
    )
    return {
        "gradient_norm": gradient_norm,
        "nonfinite": run_if(
            jnp.isfinite(gradient_norm),
            lambda: tree.varying_like(gradient_norm, _float(0)),
            lambda: _share_of_nonfinite(step.gradients),
        ),
        "update_norm": update_norm,
        "parameter_norm": parameter_norm,
        "update_ratio": jnp.where(parameter_norm > 0, update_norm / parameter_norm, 0),
    }


def _rounded_away(step: Step) -> Iterator[tuple[str, jax.Array]]:
    """Of the entries that are to move, in parameters of 16 bits, the share that a step is too small for."""

    def moves(u: jax.Array, p: jax.Array) -> jax.Array:
        return (u != 0) & _has_16_bits(p)

    def stays(u: jax.Array, p: jax.Array) -> jax.Array:
        return moves(u, p) & ((p.astype(jnp.float32) + u.astype(jnp.float32)).astype(p.dtype) == p)

    if any(map(_has_16_bits, jax.tree.leaves(step.params))):
        number = {
            f: tree.sum(tree.map_leaves(lambda u, p, f=f: f(u, p).astype(jnp.float32), step.updates, step.params))
            for f in (moves, stays)
        }
        yield "rounded_away", _float(number[stays] / jnp.maximum(number[moves], 1))


def _has_16_bits(p: jax.Array) -> bool:
    return jnp.issubdtype(p.dtype, jnp.floating) and p.dtype.itemsize == 2


def _share_of_nonfinite(updates: Updates) -> jax.Array:
    marks = tree.map_leaves(lambda x: (~jnp.isfinite(x)).astype(jnp.float32), updates)
    return _float(tree.mean(marks)) if jax.tree.leaves(marks) else _float(0)


# --- what the optimizer does ------------------------------------------------------------------------------------------


def _learning_rates(tx: Transformation, state: OptState) -> Row:
    try:
        values = hyperparams(tx, state)
    except ValueError:  # a schedule whose step no count in the state tells
        return {}
    rates = {path: value for path, value in values.items() if path.endswith((".learning_rate", ".lr"))}
    names = ["learning_rate"] if len(rates) == 1 else [f"learning_rate/{path.rpartition('.')[0]}" for path in rates]
    return {name: _number(name, rate) for name, rate in zip(names, rates.values(), strict=True)}


def _clipping(tx: Transformation, state: OptState, norm: jax.Array) -> Iterator[tuple[str, jax.Array]]:
    if (clipping := _first_clipping(walk(tx, state))) is not None:
        factor = jnp.minimum(1, _float(clipping.hyperparameters["max_norm"]) / norm)
        yield "clip_factor", jnp.where(jnp.isfinite(norm) & (norm > 0), factor, 1)


def _first_clipping(node: Node) -> Node | None:
    """`clip_by_global_norm`, if it is what the gradients of all parameters meet first, as they come in."""
    while node.name != "clip_by_global_norm":
        changed = node.name == "dynamic_loss_scaling" or node.told.steps is not None or node.told.seen is not None
        if changed or not (node.told.wraps or node.told.stores_hyperparameters) or not node.parts:
            return None
        node = node.parts[0]
    return node


def _left_out(state: OptState) -> Iterator[tuple[str, jax.Array]]:
    counters = [counter for _, counter in tree.get_all_with_path(state, "total_notfinite")]
    if counters:
        yield "steps_left_out", _float(sum(counters))


# --- numbers ----------------------------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return value is not None and jnp.ndim(value) == 0


def _number(name: str, value: Any) -> jax.Array:
    if not _is_number(value):
        raise unnamed(ValueError, f"{name!r} is to be measured as a number, got an array of shape {jnp.shape(value)}.")
    return _float(jnp.real(value))


def _float(value: Any) -> jax.Array:
    return jnp.asarray(value).astype(jnp.float32)
