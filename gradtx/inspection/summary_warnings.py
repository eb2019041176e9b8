"""What is wrong with an optimizer on given parameters, or hardly meant."""

import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, Sharding

from gradtx.core import Function
from gradtx.inspection.summary_data import Entry, ParameterGroup
from gradtx.inspection.summary_groups import decay, named
from gradtx.inspection.summary_steps import Lost, lost_steps
from gradtx.inspection.walk import Node
from gradtx.schedules import join_schedules, linear_schedule
from gradtx.values import Value

_LOW_PRECISION = ("bfloat16", "float16")


def warnings(
    node: Node,
    entries: Sequence[tuple[Node, Entry]],
    groups: Sequence[ParameterGroup],
    sizes: Mapping[str, float | None],
) -> tuple[str, ...]:
    """Return one sentence for each thing that is wrong.

    Args:
      node: the composition.
      entries: its state, each entry with its transformation.
      groups: the parameters in groups.
      sizes: how large the numbers are in each, as far as that is known.
    """
    found = [
        *_stalling(entries),
        *_rounded_away(node, sizes),
        *_short_schedules(node),
        *_no_decay(node),
        *_norms_of_a_part(node),
        *_nothing_seen(node),
        *_integers(node),
        *_unchanged_gradients(node, groups),
        *_nothing_moves(node),
        *_matrices_on_all_devices(node),
    ]
    return tuple(dict.fromkeys(found))


def _stalling(entries: Sequence[tuple[Node, Entry]]) -> Iterator[str]:
    """Averages in a dtype whose numbers are further apart than the decay moves them."""
    for node, entry in entries:
        if entry.dtype not in _LOW_PRECISION:
            continue
        field = f"{entry.state}.{entry.field}"
        # A number is less than 2/eps gaps to the next, and a change below half a gap is rounded away.
        slowest = 1 - float(jnp.finfo(entry.dtype).eps) / 4
        if node.recipe is None:
            if entry.field == "nu":
                yield f"{field} is kept in {entry.dtype}: with a decay above {slowest:.5g} it never decays."
            continue
        for told in node.told.decays:
            if told.field == entry.field and isinstance(told.value, numbers.Real) and float(told.value) > slowest:
                yield (
                    f"{field} is kept in {entry.dtype}, in which it never decays: {told.name} is {told.value:.6g}; "
                    "keep it in float32."
                )


def _rounded_away(node: Node, sizes: Mapping[str, float | None]) -> Iterator[str]:
    """Steps of 16-bit parameters that leave these as they were."""
    alike: dict[Any, list[Lost]] = {}
    for lost in lost_steps(node, sizes):
        alike.setdefault((lost.step, lost.parameter.dtype), []).append(lost)
    for (step, dtype), (first, *others) in alike.items():
        more = f" and {len(others)} more" if others else ""
        yield (
            f"{first.parameter.path or 'The array'}{more}: steps of about {step:.2g} are rounded away, as half of the last "
            f"digit of {first.size:.2g} is {first.half_gap:.2g} in {dtype}; write compensated(...) or "
            "stochastically_rounded(...) around the whole optimizer."
        )


def _short_schedules(node: Node) -> Iterator[str]:
    """Schedules that end within their warm-up."""
    for part in node.everything():
        for schedule in _schedules(part):
            assert schedule.recipe is not None
            arguments = schedule.recipe.arguments
            warmup, total = arguments.get("num_warmup_steps"), arguments.get("num_training_steps")
            if isinstance(warmup, numbers.Real) and isinstance(total, numbers.Real) and warmup >= total:
                yield f"{schedule!r} ends within its warm-up: it has {total} steps, of which {warmup} are warm-up."
            if schedule.recipe.factory is join_schedules:
                yield from _cut_off(schedule, arguments)


def _cut_off(schedule: Value, arguments: Any) -> Iterator[str]:
    first, boundary = arguments["schedules"][0], next(iter(arguments["boundaries"]), None)
    recipe = getattr(first, "recipe", None)
    if recipe is None or recipe.factory is not linear_schedule:
        return
    start, end, steps = (recipe.arguments[name] for name in ("init_value", "end_value", "transition_steps"))
    if _are_numbers(start, end, steps, boundary) and end > start and steps > boundary:
        yield f"{schedule!r} ends its warm-up of {steps} steps at step {boundary}, before it has reached {end}."


def _schedules(node: Node) -> Iterator[Value]:
    """The schedules among the arguments of a transformation, and those that they are made of."""
    waiting = [node.recipe.arguments] if node.recipe else []
    while waiting:
        for leaf in jax.tree.leaves(waiting.pop(), is_leaf=lambda value: isinstance(value, Value)):
            if isinstance(leaf, Function) and leaf.recipe is not None:
                yield leaf
                waiting.append(dict(leaf.recipe.arguments))


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, numbers.Real) for value in values)


def _no_decay(node: Node) -> Iterator[str]:
    for part in node.everything():
        share = decay(part)
        if share is not None and part.paths and not share.paths:
            yield f"{_called(part)} decays nothing: its mask is False for every parameter."


def _norms_of_a_part(node: Node) -> Iterator[str]:
    trained = set(node.paths) - _frozen(node)
    for part in node.everything():
        others = trained.difference(part.paths)
        if part.told.norm_of_all and part.paths and others:
            yield (
                f"{_called(part)} takes the norm of what it sees, {len(part.paths)} of {len(part.paths) + len(others)} arrays; "
                "for that of all, put it into a chain before what divides them."
            )


def _nothing_seen(node: Node) -> Iterator[str]:
    """Labels and masks that leave nothing over; those within an optimizer are its own affair."""
    for part in node.parts if node.told.wraps else ():
        if node.paths and not part.paths:
            reason = "its mask is False for all" if part.label is None else f"none has the label {part.label!r}"
            yield f"{_called(node)} has no parameter for {part.name}: {reason}."
        yield from _nothing_seen(part)


def _integers(node: Node) -> Iterator[str]:
    moved = {path for part in named(node) if not part.told.freezes for path in part.paths}
    for parameter in node.parameters:
        if parameter.path in moved and not jnp.issubdtype(parameter.dtype, jnp.inexact):
            yield f"{parameter.path or 'The array'} has dtype {parameter.dtype}: it has no gradient; freeze it."


def _unchanged_gradients(node: Node, groups: Sequence[ParameterGroup]) -> Iterator[str]:
    floats = {parameter.path for parameter in node.parameters if jnp.issubdtype(parameter.dtype, jnp.inexact)}
    unseen = [path for group in groups if not group.transformations for path in group.paths if path in floats]
    if unseen and node.recipe is not None:
        more = f" and {len(unseen) - 1} more" if unseen[1:] else ""
        yield f"{unseen[0] or 'The array'}{more}: no transformation sees it, so its gradient is its update: it moves uphill."


def _nothing_moves(node: Node) -> Iterator[str]:
    if node.paths and _frozen(node).issuperset(node.paths):
        yield "Every parameter is frozen."


def _matrices_on_all_devices(node: Node) -> Iterator[str]:
    """Work on whole matrices that is not divided, as types do not tell how these are split, and no wrapper does."""
    if node.told.lays_out or not node.told.whole_matrices:
        return
    inside = [part for part in node.parts if part.told.whole_matrices]
    for part in inside:
        yield from _matrices_on_all_devices(part)
    split = [each.path for each in node.parameters if len(each.shape) > 1 and _is_split_untyped(each.sharding)]
    if split and not inside:
        more = f" and {len(split) - 1} more" if split[1:] else ""
        yield (
            f"{split[0] or 'The array'}{more}: {_called(node)} works on whole matrices, and under jit nothing tells it how "
            "these are split, so that devices send more and may repeat work; write sharded(...) around the optimizer, or use "
            "explicit axes."
        )


def _is_split_untyped(sharding: Sharding | None) -> bool:
    if not isinstance(sharding, NamedSharding) or sharding.is_fully_replicated:
        return False
    return any(kind != AxisType.Explicit for kind in sharding.mesh.axis_types)


def _frozen(node: Node) -> set[str]:
    """The paths of what does not move."""
    return {path for part in named(node) if part.told.freezes for path in part.paths}


def _called(node: Node) -> str:
    """The name of a transformation, below the labels that lead to it."""
    return ".".join([*node.labels, node.name])
