"""`summary`: all that can be said of an optimizer on given parameters, from shapes alone."""

from typing import Any

import jax

from gradtx.core import Params, Transformation, is_transformation, with_extra_args_support
from gradtx.core.hyperparameters import hyperparameters
from gradtx.errors import names_errors
from gradtx.inspection.layouts import meshes_of, planned
from gradtx.inspection.summary_data import Component, Summary
from gradtx.inspection.summary_entries import bytes_of, entries
from gradtx.inspection.summary_groups import groups
from gradtx.inspection.summary_steps import sizes_of
from gradtx.inspection.summary_update import temporaries
from gradtx.inspection.summary_warnings import warnings
from gradtx.inspection.walk import Node, parameters_of, walk
from gradtx.tree.mismatch import check_arrays
from gradtx.values import shown


@names_errors
def summary(tx: Transformation, params: Params) -> Summary:
    """Return what an optimizer is on given parameters: its parts, who gets what, what the state takes, and what is wrong.

        print(gradtx.summary(tx, params))

    Nothing is computed, and no memory taken: shapes, dtypes and shardings are enough, so `params` may be
    `jax.eval_shape(model.init, ...)`. Of 16-bit arrays some numbers are looked at, to see which steps would be rounded away;
    without them they are taken for 1. Notebooks show a summary as tables.

    The peak of an update is reckoned, not measured: parameters, gradients of their dtypes and state, and for a while float32
    updates of 16-bit parameters and the quantized arrays of one parameter, decoded. So it is for AdamW in a training step that
    is compiled as a whole and donates what it replaces; what a transformation computes with besides is not in it.

    Of a transformation from another library the state is known, but not what it is made of. What a device keeps is as
    `abstract_state` says, on a `Mesh` or an `AbstractMesh`.

    Args:
      tx: a transformation.
      params: the parameters, or `jax.ShapeDtypeStruct`s of them.

    Raises:
      TypeError: `tx` is not a transformation, or a leaf of `params` is not an array, or one that `tx` cannot optimize.
    """
    with_extra_args_support(tx)  # raises if it is none
    check_arrays("params", params)
    parameters = parameters_of(params)
    sizes = sizes_of(params)
    found: list[Summary] = []

    def gather(params: Params) -> None:
        # Traced, as wrappers that keep hyperparameters in the state compute with them.
        node = walk(tx, tx.init(params), params, parameters)
        state_entries = [(part, entry) for part in node.everything() for entry in entries(part)]
        parameter_groups, held = groups(node), temporaries(node)
        found.append(
            Summary(
                composition=_component(node),
                groups=parameter_groups,
                entries=tuple(entry for _, entry in state_entries),
                parameters=sum(parameter.size for parameter in parameters),
                parameter_arrays=len(parameters),
                parameter_bytes=sum(bytes_of(each.shape, each.dtype) for each in parameters),
                parameter_bytes_per_device=sum(bytes_of(each.shape, each.dtype, each.sharding) for each in parameters),
                temporary_bytes=held.bytes,
                temporary_bytes_per_device=held.bytes_per_device,
                warnings=warnings(node, state_entries, parameter_groups, sizes),
            )
        )

    meshes = meshes_of(params)
    with planned(params, meshes.pop() if len(meshes) == 1 else None) as shapes:
        jax.eval_shape(gather, shapes)
    return found[0]


def _component(node: Node) -> Component:
    """A transformation and what it is made of, as data."""
    return Component(node.name, node.label, _arguments(node), tuple(map(_component, node.parts)))


def _arguments(node: Node) -> dict[str, Any]:
    """The hyperparameters, unless a wrapper has them, and what else is not the default."""
    if node.recipe is None:
        return {}
    parameters = node.recipe.signature.parameters
    others = {
        name: value
        for name, value in node.recipe.arguments.items()
        if name not in node.hyperparameters
        and value is not (default := parameters[name].default)
        and shown(value) != shown(default)
        and not _has_transformations(value)
    }
    return {**_hyperparameters(node), **others}


def _hyperparameters(node: Node) -> dict[str, Any]:
    """Its own; those of all that is inside, by path, if it keeps them in its state; none if a wrapper around it does."""
    if node.is_stored:
        return {}
    return hyperparameters(node.tx) if node.told.stores_hyperparameters else node.hyperparameters


def _has_transformations(argument: Any) -> bool:
    return any(map(is_transformation, jax.tree.leaves(argument, is_leaf=is_transformation)))
