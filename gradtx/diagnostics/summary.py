"""`summary`: all that can be said of an optimizer on given parameters, from shapes alone."""

import jax

from gradtx.core import OptState, Params, Transformation, with_extra_args_support
from gradtx.diagnostics.arrays import parameters_of
from gradtx.diagnostics.components import component
from gradtx.diagnostics.data import Summary
from gradtx.diagnostics.entries import entries
from gradtx.diagnostics.groups import groups
from gradtx.diagnostics.walk import walked
from gradtx.diagnostics.warnings import warnings
from gradtx.errors import names_errors
from gradtx.tree.mismatch import check_arrays


@names_errors
def summary(tx: Transformation, params: Params) -> Summary:
    """Return what an optimizer is on given parameters: its parts, who gets what, what the state takes, and what is wrong.

        print(gradtx.summary(tx, params))

    Nothing is computed, and no memory taken: only shapes, dtypes and shardings matter, so `params` may be
    `jax.eval_shape(model.init, ...)`. Notebooks show a summary as tables.

    Of a transformation from another library the state is known, but not what it is made of. A part of the state that looks
    like a parameter is taken to be sharded like it; all else, to be whole on every device.

    Args:
      tx: a transformation.
      params: the parameters, or `jax.ShapeDtypeStruct`s of them.

    Raises:
      TypeError: `tx` is no transformation, or a leaf of `params` is no array, or one that `tx` cannot optimize.
    """
    with_extra_args_support(tx)  # raises if it is none
    check_arrays("params", params)
    parameters = parameters_of(params)
    found: list[Summary] = []

    def gather(params: Params, state: OptState) -> None:
        # Traced, as wrappers that keep hyperparameters in the state compute with them.
        node = walked(tx, state, params)
        state_entries = [(part, entry) for part in node.everything() for entry in entries(part, parameters)]
        parameter_groups = groups(node, parameters)
        found.append(
            Summary(
                composition=component(node),
                groups=parameter_groups,
                entries=tuple(entry for _, entry in state_entries),
                parameters=sum(parameter.size for parameter in parameters),
                parameter_arrays=len(parameters),
                parameter_bytes=sum(parameter.bytes for parameter in parameters),
                parameter_bytes_per_device=sum(parameter.bytes_per_device for parameter in parameters),
                warnings=warnings(node, state_entries, parameter_groups, parameters),
            )
        )

    jax.eval_shape(gather, params, jax.eval_shape(tx.init, params))
    return found[0]
