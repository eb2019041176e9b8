"""`masked`: what is masked out is not touched, and not seen."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradtx.core import GradientTransformation, chain
from gradtx.optimizers.adam import scale_by_adam
from gradtx.transforms.scale import scale
from gradtx.tree import MaskedNode
from gradtx.tree.masks import MaskedState, evaluate_mask, fill_masked, mask_out
from gradtx.wrappers.masked import masked

foreign: Any = optax  # another library's classes are not ours to the type checker
PARAMS = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "scale": jnp.ones(())}


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


def spy(seen):
    """A transformation that notes what it is given."""

    def update(updates, state, params=None, **extra_args):
        seen.update(updates=updates, params=params, **extra_args)
        return updates, state

    return GradientTransformation(lambda params: seen.update(init=params) or (), update)


def test_what_is_masked_out_passes_unchanged():
    tx = masked(scale(2.0), matrices)
    updates, state = tx.update(PARAMS, tx.init(PARAMS))
    chex.assert_trees_all_equal(updates["dense"], {"kernel": 2 * PARAMS["dense"]["kernel"], "bias": PARAMS["dense"]["bias"]})
    assert isinstance(state, MaskedState)


def test_the_inner_transformation_sees_masked_nodes():
    seen = {}
    tx = masked(spy(seen), {"dense": {"kernel": True, "bias": False}, "scale": True})
    tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    expected = {**PARAMS, "dense": {**PARAMS["dense"], "bias": MaskedNode()}}
    for name in ("init", "updates", "params"):
        chex.assert_trees_all_equal(seen[name], expected)


def test_a_bool_above_the_leaves_speaks_for_all_below():
    seen = {}
    tx = masked(spy(seen), {"dense": False, "scale": True})
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    assert seen["updates"]["dense"] == MaskedNode()
    chex.assert_trees_all_equal(updates, PARAMS)


@pytest.mark.parametrize(
    "mask", [True, False, matrices, {"dense": False, "scale": True}], ids=["all", "none", "function", "prefix"]
)
def test_updates_and_states_equal_those_of_optax(mask):
    ours = masked(scale_by_adam(), mask)
    theirs = foreign.masked(foreign.scale_by_adam(), mask)
    state, expected_state = ours.init(PARAMS), theirs.init(PARAMS)
    with jax.numpy_dtype_promotion("standard"):
        expected, expected_state = theirs.update(PARAMS, expected_state, PARAMS)
    updates, state = ours.update(PARAMS, state, PARAMS)
    chex.assert_trees_all_close(updates, expected, rtol=1e-5)
    chex.assert_trees_all_close(jax.tree.leaves(state), jax.tree.leaves(expected_state), rtol=1e-4)
    assert str(jax.tree.structure(state)).replace("\n", "") == str(jax.tree.structure(expected_state)).replace("\n", "")


def test_transformations_of_optax_can_be_masked_and_masks_nest():
    tx = masked(
        chain(masked(foreign.scale(3.0), {"dense": True, "scale": MaskedNode()}), scale(2.0)), {"dense": True, "scale": False}
    )
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_equal(updates, {"dense": jax.tree.map(lambda p: 6 * p, PARAMS["dense"]), "scale": PARAMS["scale"]})


def test_optax_can_mask_a_transformation_of_ours():
    tx = foreign.masked(scale_by_adam(), matrices)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_equal(updates["scale"], PARAMS["scale"])


def test_extra_arguments_are_masked_on_demand():
    seen = {}
    mask = {"dense": True, "scale": False}
    for asked in (False, True):
        tx = masked(spy(seen), mask, mask_compatible_extra_args=asked)
        tx.update(PARAMS, tx.init(PARAMS), value=jnp.ones(()), grad=PARAMS)
        assert (seen["grad"]["scale"] == MaskedNode()) is asked
        assert seen["value"] == 1


def test_holes_in_the_gradients_alone_stay_holes():
    gradients = {**PARAMS, "dense": {**PARAMS["dense"], "kernel": None}}
    tx = masked(scale_by_adam(), matrices)
    updates, _ = tx.update(gradients, tx.init(PARAMS), PARAMS)
    assert updates["dense"]["kernel"] is None


def test_a_callable_tree_is_a_tree():
    @jax.tree_util.register_pytree_node_class
    class Model:
        def __init__(self, weight):
            self.weight = weight

        def __call__(self, inputs):
            raise AssertionError("a model is not a mask function")

        def tree_flatten(self):
            return (self.weight,), None

        @classmethod
        def tree_unflatten(cls, aux, children):
            return cls(*children)

    tx = masked(scale(2.0), Model(False))
    updates, _ = tx.update(Model(1.0), tx.init(Model(1.0)))
    assert updates.weight == 1.0


@pytest.mark.parametrize("leaf", [1, "yes", jnp.array(1), np.ones(2, bool)], ids=repr)
def test_a_mask_leaf_that_is_no_bool_is_refused_by_path_when_built(leaf):
    with pytest.raises(TypeError, match=r"masked: mask\['dense'\] must be True or False"):
        masked(scale(2.0), {"dense": leaf, "scale": True})


@pytest.mark.parametrize("array", [jnp.array, np.array, np.bool_])
def test_arrays_of_one_bool_make_a_mask(array):
    tx, same = (masked(scale(2.0), {"dense": no, "scale": yes}) for no, yes in [(array(False), array(True)), (False, True)])
    chex.assert_trees_all_equal(jax.jit(tx.update)(PARAMS, tx.init(PARAMS)), same.update(PARAMS, same.init(PARAMS)))


def test_a_mask_function_that_returns_traced_arrays_is_refused():
    tx = masked(scale(2.0), lambda params: jax.tree.map(jnp.any, params))
    with pytest.raises(TypeError, match=r"mask\['dense'\]\['bias'\] must be True or False"):
        jax.jit(tx.init)(PARAMS)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"dense": True}, r"masked: mask has nothing for \['scale'\]; it has \['dense'\]"),
        ({"dense": True, "scale": None}, r"mask has nothing for \['scale'\]"),
        (
            {"dense": True, "scale": True, "extra": True},
            r"mask\['extra'\] has no counterpart in the tree, which has \['dense'\]",
        ),
        ({"dense": {"kernel": True}, "scale": True}, r"mask has nothing for \['dense'\]\['bias'\]"),
        ([True, True], r"mask has nothing for \['dense'\]"),
    ],
)
def test_a_mask_that_does_not_match_is_refused_by_path(mask, message):
    with pytest.raises(ValueError, match=message):
        masked(scale(2.0), mask).init(PARAMS)


def test_masking_out_and_filling_in_are_inverse():
    where = evaluate_mask(matrices, PARAMS)
    chex.assert_trees_all_equal(fill_masked(where, mask_out(where, PARAMS), PARAMS), PARAMS)


def test_a_misspelt_extra_argument_is_refused():
    tx = masked(scale(2.0), True)
    with pytest.raises(TypeError, match="valeu"):
        tx.update(PARAMS, tx.init(PARAMS), valeu=1.0)
