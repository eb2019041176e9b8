"""Carry the state of one optimizer over to another, and begin a part of a state anew."""

from collections.abc import Mapping

import jax

from gradtx.core import OptState, Params, Transformation
from gradtx.errors import names_errors
from gradtx.inspection.transfer_arguments import (
    check_order,
    check_renamed,
    chosen,
    has_shapes_alone,
    have_same_shapes,
    paths_of,
    refuse_params,
    renaming,
)
from gradtx.inspection.transfer_matching import matched
from gradtx.inspection.transfer_nodes import Entry, nodes_of, states_for
from gradtx.inspection.transfer_placing import misfit, taken_over
from gradtx.inspection.transfer_report import TransferReport, report_of
from gradtx.tree.patterns import Pattern


@names_errors
def transfer_state(
    old_state: OptState,
    tx: Transformation,
    params: Params,
    *,
    strict: bool = False,
    renamed: Mapping[str, str] | None = None,
    grow: Pattern | bool = (),
) -> tuple[OptState, TransferReport]:
    """Return the state of `tx` with all that `old_state`, of another optimizer or for other parameters, has for it.

        state, report = transfer_state(old_state, chain(clip_by_global_norm(1.0), adamw(schedule)), params)
        print(report)

    An array is found again by the NamedTuple it is in, its field and the path of its parameter, wherever that NamedTuple is:
    transformations may be added, left out, wrapped, split into groups of parameters or joined; parameters may be added, frozen,
    renamed, and put in other containers. It takes the dtype and the sharding that `tx` gives it. All else is as
    `tx.init(params)` has it.

    - What parameters share, such as a count, goes with them. A new one among old ones begins with moments of zero at their
      count, so without bias correction: its first steps with Adam are up to 6.6 times as long as usual at the default decays.
      In a group of its own it has a count of its own.
    - A schedule that takes the place of a constant begins at step 0. To let it begin at another, set its count, as in
      `tree.set(state, **{"ScaleByScheduleState.count": 1000})`.
    - Hyperparameters that a state holds stay as they were there, whatever `tx` was made with.

    Args:
      old_state: a state, of Optax too, or restored from a checkpoint with NumPy arrays.
      tx: the new optimizer.
      params: the parameters from now on. With a `ShapeDtypeStruct` among them, or in the old state, the new state is one of
        shapes, and the report tells what would happen.
      strict: whether it is an error if anything begins anew or is left behind.
      renamed: the new path of a parameter, or of a group of them, by its old one: {"encoder": "backbone/encoder"}.
      grow: which parameters may have grown: a pattern, as in `matching`, or True for all. Where one is at least as large as
        before along each axis, old values are kept in the leading corner; the rest begins anew.

    Returns:
      The state, whose arrays are no one else's, and a report of what was kept, begins anew and was dropped.

    Raises:
      TypeError: the arguments are in another order.
      ValueError: `strict`, and something begins anew or is left behind; or a name in `renamed` or a pattern means nothing.
    """
    check_order("transfer_state", old_state, tx, params)
    may_grow = chosen("transfer_state", grow, params)
    shapes = jax.eval_shape(tx.init, params) if has_shapes_alone(params) else jax.eval_shape(lambda: tx.init(params))
    refuse_params(old_state, shapes, params)

    parameters = paths_of(params)
    new = nodes_of(shapes, states_for(params), parameters)
    known = {node.kind for node in new}
    old = nodes_of(old_state, states_for(params, known), parameters, renaming(renamed or {}, parameters))
    check_renamed(renamed or {}, old, parameters)

    def why_not(ours: Entry, theirs: Entry) -> str | None:
        return misfit(ours.value, theirs.value, growing=ours.parameter is not None and may_grow(ours.parameter))

    sources = matched(new, old, lambda ours, theirs: why_not(ours, theirs) is None)
    report = report_of(new, old, sources, why_not)
    if strict and (report.new or report.dropped):
        raise ValueError(f"transfer_state: strict, and not all of the old state is all of the new one.\n{report}")

    if has_shapes_alone((old_state, params)):
        return shapes, report

    leaves, structure = jax.tree.flatten(tx.init(params))
    for position, source in sources.items():
        leaves[position] = taken_over(leaves[position], source.value)  # one by one, as there may be no room for one state more
    return structure.unflatten(leaves), report


@names_errors
def reset_state(state: OptState, tx: Transformation, params: Params, where: Pattern | None = None) -> OptState:
    """Return the state with all that belongs to some parameters as it is before the first step.

        state = reset_state(state, tx, params, "head/**")

    What the parameters share, such as a count, stays, and so do the arrays of the others, which are those of `state`. Moments
    of zero at an old count have no bias correction: the next steps of Adam for these parameters are up to 6.6 times as long as
    usual at the default decays. Where that is too long, let the learning rate rise again, or begin all anew.

    Args:
      state: a state of `tx`.
      tx: the optimizer.
      params: the parameters. What a state keeps of them, such as an average, begins again at these.
      where: which parameters: a pattern, as in `matching`. None begins all anew, counts as well.

    Raises:
      TypeError: the arguments are in another order.
      ValueError: the state is not one that `tx` makes for these parameters, or the pattern matches none.
    """
    check_order("reset_state", state, tx, params)
    fresh = tx.init(params)
    if not have_same_shapes(state, fresh):
        raise ValueError(
            "reset_state: the state is not one that tx.init makes for these parameters; "
            "transfer_state makes it one: transfer_state(state, tx, params)."
        )
    if where is None:
        return fresh
    is_chosen = chosen("reset_state", where, params)
    leaves, structure = jax.tree.flatten(state)
    for node in nodes_of(fresh, states_for(params), paths_of(params)):
        for entry in node.entries.values():
            if entry.parameter is not None and is_chosen(entry.parameter):
                leaves[entry.position] = entry.value
    return structure.unflatten(leaves)
