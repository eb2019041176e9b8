"""Chains, and transformations of one line."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax

from gradtx import tree
from gradtx.core.description import (
    Run,
    describe,
    description,
    description_of,
    forwards_to,
    refuse_exact,
    tells,
    with_extra_args_support,
)
from gradtx.core.factories import factory
from gradtx.core.protocol import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    init_empty_state,
)
from gradtx.errors import unnamed
from gradtx.tree import mismatch
from gradtx.tree.lift import aligned

_R = TypeVar("_R")


@factory
def chain(*args: Transformation) -> GradientTransformationExtraArgs:
    """Apply transformations one after another: the updates of each are the input of the next.

    The state is a flat tuple with one entry for each member. `chain()` of nothing changes nothing.

    Args:
      *args: transformations, of gradtx or of any library that keeps to the same protocol.

    Raises:
      TypeError: an argument is not a transformation.
      ValueError: one that must be around all else, such as `compensated`, is not the last that changes updates.
    """
    members = [with_extra_args_support(tx) for tx in args]
    _check_order(members)
    runs = _runs(members)

    def init(params: Params) -> tuple[OptState, ...]:
        return tuple(member.init(params) for member in members)

    @_requires_what_is_required_by(members)
    @forwards_to(*members, states=tuple)
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        if not isinstance(state, tuple | list) or hasattr(state, "_fields") or len(state) != len(members):
            raise ValueError(f"chain: the state is not that of a chain of {len(members)}.")
        new_state = []
        for run, member_state in zip(runs, state, strict=True):
            updates, member_state = run(updates, member_state, params, extra_args)
            new_state.append(member_state)
        return updates, tuple(new_state)

    return GradientTransformationExtraArgs(init, update)


@factory
def named_chain(*args: tuple[str, Transformation]) -> GradientTransformationExtraArgs:
    """Apply named transformations one after another; the state is a dict by name.

    Args:
      *args: pairs `(name, transformation)`.

    Raises:
      TypeError: an argument is not such a pair.
      ValueError: two members have the same name, or as for `chain`.
    """
    for pair in args:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise TypeError(f"named_chain takes pairs (name, transformation), got {pair!r}.")
    names = [name for name, _ in args]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise unnamed(ValueError, f"{repeated[0]!r} names two members; every name must be its own.")
    members = {name: with_extra_args_support(tx) for name, tx in args}
    _check_order(members.values())
    runs = dict(zip(members, _runs(members.values()), strict=True))

    def init(params: Params) -> dict[str, OptState]:
        return {name: member.init(params) for name, member in members.items()}

    @_requires_what_is_required_by(members.values())
    @forwards_to(*members.values(), states=lambda state: {name: state[name] for name in members})
    def update(updates: Updates, state: dict[str, OptState], params: Params | None = None, **extra_args: Any):
        if state.keys() != members.keys():
            raise ValueError(f"named_chain: the state is not that of {', '.join(names)}.")
        new_state = {}
        for name, run in runs.items():
            updates, new_state[name] = run(updates, state[name], params, extra_args)
        return updates, new_state

    return GradientTransformationExtraArgs(init, update)


def _runs(members: Iterable[Transformation]) -> list[Run]:
    """What a chain calls: its own arguments were checked for all members."""
    return [run for member in members if (run := description(member).run)]


def _check_order(members: Iterable[Transformation]) -> None:
    """Refuse what comes after a member whose updates must stay as they are, unless it leaves them so."""
    earlier: list[Transformation] = []
    for member in members:
        if not description(member).keeps_updates:
            refuse_exact(*earlier)
            earlier.append(member)


def _requires_what_is_required_by(members: Iterable[Transformation]) -> Callable[[_R], _R]:
    required: dict[str, str] = {}
    for member in members:
        required = dict(description(member).requires) | required  # the first that reads it is named

    def mark(update: Any) -> Any:
        return describe(update, description_of(update)._replace(requires=tuple(required.items())))

    return mark


@factory
def identity() -> GradientTransformationExtraArgs:
    """Return the updates as they are."""

    @tells(keeps_updates=True)
    def update(updates: Updates, state: OptState, params: Params | None = None):
        return updates, state

    return GradientTransformationExtraArgs(init_empty_state, update)


@factory
def set_to_zero() -> GradientTransformationExtraArgs:
    """Replace every update by zeros, integer leaves too: what it is applied to does not move."""

    @tells(freezes=True)
    def update(updates: Updates, state: OptState, params: Params | None = None):
        return tree.zeros_like(updates), state

    return GradientTransformationExtraArgs(init_empty_state, update)


@factory
def stateless(f: Callable[[Updates, Params | None], Updates]) -> GradientTransformationExtraArgs:
    """Make a transformation without state of a function `f(updates, params) -> updates`."""

    def update(updates: Updates, state: OptState, params: Params | None = None):
        return f(updates, params), state

    return GradientTransformationExtraArgs(init_empty_state, update)


@factory
def stateless_with_tree_map(f: Callable[[jax.Array, jax.Array | None], jax.Array]) -> GradientTransformationExtraArgs:
    """Make a transformation without state of a function `f(g, p) -> u` on arrays; `p` is None without params."""

    def on_leaf(g: Any, p: Any = None) -> Any:
        return g if tree.is_hole(g) else f(g, p)

    def update(updates: Updates, state: OptState, params: Params | None = None):
        trees = {"g": updates} if params is None else {"g": updates, "p": params}
        with mismatch.explaining(**trees):
            structure, rows = aligned(tuple(trees.values()))
        return structure.unflatten([on_leaf(*row) for row in rows]), state

    return GradientTransformationExtraArgs(init_empty_state, update)
