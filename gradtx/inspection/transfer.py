"""Carry the state of one optimizer over to another, and reset a part of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gradtx.core import OptState, Params, Transformation, is_transformation
from gradtx.core.description import not_a_transformation
from gradtx.errors import names_errors, unnamed
from gradtx.inspection.transfer_forms import (
    NO_COUNTERPART,
    as_in_state,
    continued,
    is_another,
    is_low_bits,
    shape_alone,
    with_forms,
)
from gradtx.inspection.transfer_matching import matched, misfit
from gradtx.inspection.transfer_report import TransferReport, report_of
from gradtx.inspection.transfer_substates import Leaf, Substate, containers_of, parameter_of, states_for, substates_of
from gradtx.tree.paths import leaves_with_paths
from gradtx.tree.patterns import Pattern, check_pattern, finder
from gradtx.tree.unmatched import listed, nothing_matches
from gradtx.wrappers.lookahead import is_pair


@names_errors
def transfer_state(
    old_state: OptState,
    tx: Transformation,
    params: Params,
    *,
    strict: bool = False,
    renamed: Mapping[str, str] | None = None,
    grow: Pattern | bool = (),
    old_tx: Transformation | None = None,
    old_params: Params | None = None,
) -> tuple[OptState, TransferReport]:
    """Return the state of `tx` with all that `old_state`, of another optimizer or for other parameters, has for it.

        state, report = transfer_state(old_state, chain(clip_by_global_norm(1.0), adamw(schedule)), params)
        print(report)

    An array is found again by the NamedTuple it is in, its field and the path of its parameter, wherever that NamedTuple is:
    transformations may be added, left out, wrapped, split into groups of parameters or joined; parameters may be added, frozen,
    renamed, and put in other containers. It takes the dtype, or the code, and the sharding that `tx` gives it. All else is as
    `tx.init(params)` has it.

        state, report = transfer_state(old_state, quantized(adamw(1e-3)), params)      goes on in 8 bits; and back:
        state, report = transfer_state(state, adamw(1e-3), params)

    - What parameters share, such as a count, goes with them. A new one among old ones begins with moments of zero at their
      count, so without bias correction: its first steps with Adam are up to 6.6 times as long as usual at the default decays.
      In a group of its own it has a count of its own.
    - A schedule that replaces a constant begins at step 0. To let it begin at another, set its count, as in
      `tree.set(state, **{"ScaleByScheduleState.count": 1000})`.
    - Hyperparameters that a state holds stay as they were there, whatever `tx` was made with.
    - Between `quantized`, `stored` and a state in float32, numbers are converted; in the same code they stay, to the bit.
    - Float32 parameters that go on in 16 bits, `compensated`, keep what is rounded away if they are given as `old_params`.
      Without them the low bits are 0, and new in the report.

    Args:
      old_state: a state, of Optax too, or restored from a checkpoint with NumPy arrays.
      tx: the new optimizer.
      params: the parameters from now on. With a `ShapeDtypeStruct` among them, or in the old state, the new state is one of
        shapes, and the report tells what would happen.
      strict: whether it is an error if anything starts again or is left behind.
      renamed: the new path of a parameter, or of a group of them, by its old one: {"encoder": "backbone/encoder"}.
      grow: which parameters may have grown: a pattern, as in `matching`, or True for all. Where one is at least as large as
        before along each axis, old values are kept in the leading corner; the rest starts again.
      old_tx: the optimizer that `old_state` is of. Needed if it is `quantized`, and a parameter of it has grown or gone, beside
        which it would be seen how many bits the codes have.
      old_params: the parameters that `old_state` is for, if `tx` is `compensated` and `params` are these, rounded.

    Returns:
      The state, whose arrays are no one else's, and a report of what was kept, what was converted, what starts again and what
      was dropped.

    Raises:
      TypeError: the arguments are in another order.
      ValueError: `strict`, and something starts again or is left behind; a name in `renamed` or a pattern means nothing; or
        the old state is quantized, and `old_tx` is needed, or of another state.
    """
    _check_order("transfer_state(old_state, tx, params)", old_state, tx, params)
    if old_tx is not None and not is_transformation(old_tx):
        raise unnamed(TypeError, f"old_tx must be a transformation, got {not_a_transformation(old_tx)}.")
    may_grow = _chosen(grow, params)
    is_forecast = _has_shapes_alone((old_state, params, old_params))
    fresh = jax.eval_shape(tx.init, params) if is_forecast else tx.init(params)
    _refuse_params(old_state, fresh, params)

    parameters = _paths_of(params)
    rename = _renaming(renamed or {}, parameters)
    here, before = _by_path(params), {} if old_params is None else _by_path(old_params)
    absent = _NO_OLD_PARAMS if old_params is None else NO_COUNTERPART
    leaves, structure = jax.tree.flatten(
        with_forms(fresh, tx, lambda path: [here[path]] if path in here else [], absent=absent)
    )
    shapes = structure.unflatten(map(shape_alone, leaves))
    new = substates_of(shapes, states_for(params), parameters)
    known = {substate.kind for substate in new}
    old_state = with_forms(
        old_state,
        old_tx,
        lambda path: [p for p in (before.get(path), here.get(rename(path))) if p is not None],
        _NO_OLD_TX if old_tx is None else _OTHER_OLD_TX,
    )
    old = substates_of(old_state, states_for(params, known), parameters, rename)
    _check_renamed(renamed or {}, old, parameters)

    def why_not(ours: Leaf, theirs: Leaf) -> str | None:
        if is_low_bits(ours.value) != is_low_bits(theirs.value):
            return "low bits of another parameter"
        return misfit(ours.value, theirs.value, growing=ours.parameter is not None and may_grow(ours.parameter))

    sources = matched(new, old, lambda ours, theirs: why_not(ours, theirs) is None)
    sources |= _rounded_away(new, sources, {rename(path): p for path, p in before.items()}, here)
    report = report_of(new, old, sources, why_not)
    if strict and (report.new or report.dropped):
        raise unnamed(ValueError, f"strict, and not all of the old state is all of the new one.\n{report}")

    if is_forecast:
        return fresh, report

    del fresh  # and its arrays go one by one, as there may be no room for one state more
    for position, leaf in enumerate(leaves):
        leaves[position] = continued(leaf, sources[position].value) if position in sources else as_in_state(leaf)
    return structure.unflatten(leaves), report


@names_errors
def reset_state(state: OptState, tx: Transformation, params: Params, where: Pattern | None = None) -> OptState:
    """Return the state with all that belongs to some parameters as it is before the first step.

        state = reset_state(state, tx, params, "head/**")

    What the parameters share, such as a count, stays, and so do the arrays of the others, which are those of `state`. Moments
    of zero at an old count have no bias correction: the next steps of Adam for these parameters are up to 6.6 times as long as
    usual at the default decays. Where that is too long, let the learning rate rise again, or start all over.

    Args:
      state: a state of `tx`.
      tx: the optimizer.
      params: the parameters. What a state keeps of them, such as an average, begins again at these.
      where: which parameters: a pattern, as in `matching`. None starts all over, counts as well.

    Raises:
      TypeError: the arguments are in another order.
      ValueError: the state is not one that `tx` makes for these parameters, or the pattern matches none.
    """
    _check_order("reset_state(state, tx, params)", state, tx, params)
    fresh = tx.init(params)
    if not _have_same_shapes(state, fresh):
        raise unnamed(
            ValueError,
            "the state is not one that tx.init makes for these parameters; "
            "transfer_state makes it one: transfer_state(state, tx, params).",
        )
    if where is None:
        return fresh
    is_chosen = _chosen(where, params)
    leaves, structure = jax.tree.flatten(state)
    for substate in substates_of(fresh, states_for(params), _paths_of(params)):
        for leaf in substate.leaves.values():
            if leaf.parameter is not None and is_chosen(leaf.parameter):
                leaves[leaf.position] = leaf.value
    return structure.unflatten(leaves)


# --- what the arguments mean, and what is wrong with them -------------------------------------------------------------

_NO_OLD_TX = "old_state is quantized, and it is not clear how: give the optimizer that it is of, old_tx=quantized(...)."
_OTHER_OLD_TX = "old_state is quantized, but not by old_tx."
_NO_OLD_PARAMS = "0, as only old_params has what was rounded away"


def _rounded_away(
    new: Sequence[Substate], sources: Mapping[int, Leaf], before: Mapping[str, Any], params: Mapping[str, Any]
) -> dict[int, Leaf]:
    """Return the old parameters, as leaves, from which low bits begin that are not in the old state.

    Raises:
      ValueError: a parameter is not the rounding of the old one.
    """
    low_bits = [leaf for substate in new for leaf in substate.leaves.values() if is_low_bits(leaf.value)]
    found = {}
    for leaf in low_bits:
        path = leaf.path
        if path in before and leaf.position not in sources and np.shape(before[path]) == leaf.value.shape:
            if is_another(params[path], before[path]):
                raise unnamed(ValueError, f"params are not old_params, rounded: {path!r} is another.")
            found[leaf.position] = Leaf(-1, before[path], leaf.parameter, path, leaf.name)
    return found


def _check_order(call: str, state: Any, tx: Any, params: Any) -> None:
    """Raise `TypeError` if the arguments are clearly in another order than in `call`."""
    if not is_transformation(tx):
        raise unnamed(TypeError, f"tx must be a transformation, got a {type(tx).__name__}. Call {call}.")
    if states := sorted(name for name in containers_of(params) if name.endswith("State")):
        raise unnamed(TypeError, f"params must be parameters, and there is a {states[0]} in them. Call {call}.")
    if callable(getattr(state, "init", None)):
        raise unnamed(TypeError, f"the state comes first, got a transformation. Call {call}.")


def _refuse_params(old_state: Any, new_state: Any, params: Any) -> None:
    """Raise `TypeError` if the old state is like the parameters, and the new one is not."""
    like_params = jax.tree.structure(old_state) == jax.tree.structure(params)
    if like_params and jax.tree.structure(new_state) != jax.tree.structure(params):
        raise unnamed(TypeError, "old_state is like the parameters. Call transfer_state(old_state, tx, params).")


def _chosen(pattern: Pattern | bool, params: Params) -> Callable[[str], bool]:
    """Return a function of the path of a parameter: whether a pattern means it, which must mean one at least."""
    if isinstance(pattern, bool) or pattern == ():
        return lambda path: bool(pattern)
    check_pattern(pattern)
    leaves = leaves_with_paths(_model(params))
    find = finder(pattern)
    paths = {path for path, leaf in leaves if find(path, leaf) is not None}
    if not paths:
        raise unnamed(ValueError, nothing_matches(pattern, leaves))
    return paths.__contains__


def _paths_of(params: Params) -> frozenset[str]:
    """Return the paths by which a state may know the parameters."""
    return frozenset(_by_path(params))


def _renaming(renamed: Mapping[str, str], parameters: Collection[str]) -> Callable[[str], str]:
    """Return a function of a path below a field: the same with the new name of its parameter; a hyperparameter keeps its."""

    def rename(path: str) -> str:
        for old in sorted(renamed, key=len, reverse=True):
            if _is_below(path, old):
                new = "/".join(filter(None, (renamed[old], path[len(old) :].strip("/"))))
                return new if parameter_of(new, parameters) is not None else path
        return path

    return rename


def _check_renamed(renamed: Mapping[str, str], old: Sequence[Substate], parameters: Collection[str]) -> None:
    """Raise `ValueError` if a name in `renamed` means nothing."""
    paths = {leaf.path for substate in old for leaf in substate.leaves.values()}
    for before, after in renamed.items():
        if not any(_is_below(path, before) for path in paths):
            raise unnamed(ValueError, f"renamed has {before!r}, but the old state has nothing for such a parameter.")
        if not any(_is_below(path, after) for path in parameters):
            message = f"renamed has {after!r}, but there is no such parameter: {listed(sorted(parameters))}."
            raise unnamed(ValueError, message)


def _has_shapes_alone(tree: Any) -> bool:
    """Return whether there is a leaf without a value."""
    return any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(tree))


def _have_same_shapes(one: Any, other: Any) -> bool:
    """Return whether two trees have the same structure, and leaves of the same shapes."""
    leaves, others = jax.tree.leaves(one), jax.tree.leaves(other)
    return jax.tree.structure(one) == jax.tree.structure(other) and [*map(np.shape, leaves)] == [*map(np.shape, others)]


def _model(params: Params) -> Any:
    """The parameters whose paths are in a state: of two sets of them, as `lookahead` has, those of either."""
    return params.fast if is_pair(params) else params


def _by_path(params: Params) -> dict[str, Any]:
    """The parameters by all paths by which a state may know them."""
    return dict(leaf for tree in (params, _model(params)) for leaf in leaves_with_paths(tree))


def _is_below(path: str, above: str) -> bool:
    return not above or path == above or path.startswith(f"{above}/")
