"""Laws of trees: holes, empty trees, and what a state is made of."""

from typing import Any

import jax
import numpy as np

from gradtx.core import Params, Transformation
from gradtx.testing.compare import assert_same_types, assert_same_values, is_key
from gradtx.testing.laws import law
from gradtx.testing.samples import gradients_like, shapes_of
from gradtx.tree import MaskedNode, is_hole
from gradtx.tree.quantized import is_quantized


@law
def holes_stay_holes(tx: Transformation, params: Params) -> None:
    """`None` and `MaskedNode()` stand for leaves that are not there, in params and gradients: masks and filters put them."""
    whole = shapes_of(params)
    for hole in (None, MaskedNode()):
        with_hole = _without_first_leaf(whole, hole)
        for case, p in (("params and gradients", with_hole), ("gradients", whole)):
            state = jax.eval_shape(tx.init, p)
            updates, new_state = jax.eval_shape(tx.update, with_hole, state, p)
            assert_same_types(updates, with_hole, f"{hole} in {case}: updates")
            assert_same_types(new_state, state, f"{hole} in {case}: state")


@law
def bystanders_pass(tx: Transformation, params: Params) -> None:
    """A function or a word may stand among the params that `update` is given, as in a model: the gradient has a hole there."""
    with_hole = _without_first_leaf(shapes_of(params), None)
    state = jax.eval_shape(tx.init, with_hole)
    _, structure = jax.tree.flatten(params)

    def update(gradients: Any, state: Any, leaves: Any) -> Any:
        return tx.update(gradients, state, structure.unflatten([_bystander, *leaves]))

    updates, new_state = jax.eval_shape(update, with_hole, state, jax.tree.leaves(with_hole))
    assert_same_types(updates, with_hole, "updates")
    assert_same_types(new_state, state, "state")


@law
def empty_trees_pass(tx: Transformation, params: Params) -> None:
    """A tree without leaves is transformed into itself: a model's part may have no parameters."""
    del params
    for empty in ({}, ()):
        updates, _ = tx.update(empty, tx.init(empty), empty)
        assert updates == empty, f"updates {empty!r} became {updates!r}"


@law
def flatten_unflatten_and_numpy_round_trip_change_nothing(tx: Transformation, params: Params) -> None:
    """A state that was saved and restored goes on as before: it is its leaves, and NumPy holds them."""
    gradients = gradients_like(params)
    _, state = tx.update(gradients, tx.init(params), params)
    leaves, structure = jax.tree.flatten(state)
    restored = structure.unflatten([leaf if is_key(leaf) else np.asarray(leaf) for leaf in leaves])
    assert jax.tree.structure(restored) == structure, f"flatten and unflatten made {jax.tree.structure(restored)}"
    expected = tx.update(gradients, state, params)
    assert_same_values(tx.update(gradients, restored, params), expected, "(updates, state) from a restored state")


@law
def state_is_made_of_plain_containers(tx: Transformation, params: Params) -> None:
    """A state is NamedTuples called ...State or Quantized, tuples, dicts and None: serializers know no other container.

    Parts of the state that look like the parameters are made of what the parameters are made of.
    """
    _check_containers(tx.init(params), jax.tree.structure(params), "state")


def _check_containers(node: Any, like_params: Any, where: str) -> None:
    if is_hole(node) or isinstance(node, jax.Array | np.ndarray) or jax.tree.structure(node) == like_params:
        return
    kind = type(node)
    named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    assert named or kind in (tuple, dict), (
        f"{where} is a {kind.__name__}, neither an array nor a NamedTuple, tuple, dict or None"
    )
    if named:
        assert kind.__name__.endswith("State") or is_quantized(node), (
            f"{where} is a {kind.__name__}, whose name does not end in State"
        )
        assert kind(**node._asdict()) == node, f"{where}, a {kind.__name__}, is not rebuilt from its fields"
        node = node._asdict()
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        _check_containers(child, like_params, f"{where}.{key}" if named else f"{where}[{key!r}]")


def _bystander(x: Any) -> Any:
    """A function among the parameters."""
    return x


def _without_first_leaf(tree: Any, hole: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure.unflatten([hole, *leaves[1:]])
