"""Layer-wise decay of the learning rate: which layer is which, and how far its steps shrink."""

import re
from typing import Any

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import trajectories
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from trees import properties

import gradtx
from gradtx import scale_by_layer_decay
from gradtx.tree import MaskedNode
from gradtx.tree.paths import leaves_with_paths

foreign: Any = optax  # another library's classes are not ours to the type checker
LAYERS = ["embed/**", "layers/#/**", ("norm/**", "head/**")]


def ones_like_a_transformer(depth=3):
    layer = {"attention": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, "mlp": jnp.ones((2, 3))}
    ends = {"embed": {"tokens": jnp.ones((5, 2))}, "norm": {"scale": jnp.ones(2)}, "head": {"kernel": jnp.ones((2, 5))}}
    return {**ends, "layers": {str(k): layer for k in range(depth)}}


def factors(tx, tree):
    """The one factor of each leaf of a tree of ones."""
    updates, _ = tx.update(tree, tx.init(tree))
    return {path: float(u.max()) for path, u in leaves_with_paths(updates)}


def beit_layer_id(path, depth):
    """The layer of a parameter as the fine-tuning scripts of BEiT count it."""
    if path.startswith("embed"):
        return 0
    return int(path.split("/")[1]) + 1 if path.startswith("layers") else depth + 1


def test_factors_are_those_of_beit():
    depth = 12
    for path, factor in factors(scale_by_layer_decay(0.65, LAYERS), ones_like_a_transformer(depth)).items():
        assert factor == pytest.approx(0.65 ** (depth + 1 - beit_layer_id(path, depth)), rel=1e-6), path


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("rate", [0.1, gradtx.cosine_decay_schedule(0.1, 20)], ids=["number", "schedule"])
def test_an_optimizer_for_each_layer_moves_the_same(rate):
    def by_hand():
        def optimizer(factor):
            return foreign.chain(foreign.adamw(rate, weight_decay=0.3), foreign.scale(factor))

        names = {"embed": "0", "norm": "4", "head": "4", "layers": {"0": "1", "1": "2", "2": "3"}}
        return foreign.multi_transform({str(k): optimizer(0.75 ** (4 - k)) for k in range(5)}, names)

    start = jax.tree.map(lambda p: p.astype(float), ones_like_a_transformer())
    path, _ = trajectories.run(gradtx.chain(gradtx.adamw(rate, weight_decay=0.3), scale_by_layer_decay(0.75, LAYERS)), start)
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = trajectories.run(by_hand(), start)
    chex.assert_trees_all_close(path, expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_groups_with_factors_move_the_same():
    groups = [gradtx.Group(f"layers/{k}/**", learning_rate_factor=0.5 ** (3 - k), name=f"layer {k}") for k in range(3)]
    groups += [gradtx.Group("embed/**", learning_rate_factor=0.5**4), gradtx.Group("**")]
    start = jax.tree.map(lambda p: p.astype(float), ones_like_a_transformer())
    path, _ = trajectories.run(gradtx.chain(gradtx.sgd(0.1, momentum=0.9), scale_by_layer_decay(0.5, LAYERS)), start)
    expected, _ = trajectories.run(gradtx.grouped(gradtx.sgd(0.1, momentum=0.9), groups), start)
    chex.assert_trees_all_close(path, expected, rtol=1e-12)


@properties
@given(st.lists(st.integers(0, 200), min_size=1, max_size=12, unique=True), st.floats(0.125, 1))
def test_numbers_order_the_layers_and_gaps_between_them_are_none(numbers, decay):
    tree = {"stem": jnp.ones(1), **{f"block_{number}": jnp.ones(1) for number in numbers}}
    found = factors(scale_by_layer_decay(decay, ["stem", "block_#"]), tree)
    for k, number in enumerate(sorted(numbers)):
        np.testing.assert_allclose(found[f"block_{number}"], decay ** (len(numbers) - 1 - k), rtol=1e-5)
    np.testing.assert_allclose(found["stem"], decay ** len(numbers), rtol=1e-5)


def test_several_numbers_order_stages_before_blocks():
    tree = {f"stage{i}": [jnp.ones(1)] * 2 for i in (1, 2)}
    found = factors(scale_by_layer_decay(0.5, ["stage#/#"]), tree)
    assert found == {"stage1/0": 0.125, "stage1/1": 0.25, "stage2/0": 0.5, "stage2/1": 1.0}


def test_the_groups_of_a_regular_expression_order_layers_numbers_as_numbers():
    tree = {"a": {"9": jnp.ones(1), "10": jnp.ones(1)}, "b": jnp.ones(1)}
    found = factors(scale_by_layer_decay(0.5, [re.compile(r"(.)(?:/(\d+))?")]), tree)
    assert found == {"a/9": 0.25, "a/10": 0.5, "b": 1.0}


def test_patterns_in_a_tuple_share_the_layers_of_one_number():
    tree = {"encoder": [jnp.ones(1)] * 2, "decoder": [jnp.ones(1)] * 2}
    found = factors(scale_by_layer_decay(0.5, [("encoder/#", "decoder/#")]), tree)
    assert found == {"encoder/0": 0.5, "encoder/1": 1.0, "decoder/0": 0.5, "decoder/1": 1.0}


def test_decays_of_zero_and_one_are_the_ends():
    tree = ones_like_a_transformer()
    assert set(factors(scale_by_layer_decay(1.0, LAYERS), tree).values()) == {1.0}
    assert {path for path, factor in factors(scale_by_layer_decay(0.0, LAYERS), tree).items() if factor} == {
        "norm/scale",
        "head/kernel",
    }


def test_layers_of_nnx_and_equinox_modules():
    class Stack(nnx.Module):
        """Two layers and a head."""

        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
            self.head = nnx.Linear(2, 1, rngs=rngs)

    tx = scale_by_layer_decay(0.5, ["layers/#/*", "head/*"])
    state = jax.tree.map(jnp.ones_like, nnx.state(Stack(nnx.Rngs(0)), nnx.Param))
    updates = nnx.to_pure_dict(tx.update(state, tx.init(state))[0])
    assert [float(u["bias"][0]) for u in (updates["layers"][0], updates["layers"][1], updates["head"])] == [0.25, 0.5, 1.0]

    model = jax.tree.map(jnp.ones_like, eqx.filter(eqx.nn.MLP(2, 1, 3, 2, key=jax.random.key(0)), eqx.is_inexact_array))
    tx = scale_by_layer_decay(0.5, ["layers/#/*"])
    updates, _ = tx.update(model, tx.init(model))
    assert [float(layer.bias[0]) for layer in updates.layers] == [0.25, 0.5, 1.0]


# --- transformations of JAX -------------------------------------------------------------------------------------------


def test_the_decay_may_be_traced_and_mapped():
    tree = ones_like_a_transformer()

    def first(decay):
        tx = scale_by_layer_decay(decay, LAYERS)
        return tx.update(tree, tx.init(tree))[0]["layers"]["0"]["mlp"][0, 0]

    np.testing.assert_allclose(jax.jit(jax.vmap(first))(jnp.asarray([0.5, 1.0])), [0.125, 1.0])
    np.testing.assert_allclose(jax.grad(first)(0.5), 3 * 0.5**2)


def test_a_model_of_many_layers_traces_the_rule_once_a_shape():
    tx = scale_by_layer_decay(0.9, LAYERS)
    tree = ones_like_a_transformer(24)
    functions = {
        id(equation.params["jaxpr"])  # one for each time the rule is traced
        for equation in jax.make_jaxpr(lambda updates: tx.update(updates, tx.init(tree))[0])(tree).eqns
        if "jaxpr" in equation.params
    }
    assert len(functions) == len({leaf.shape for leaf in jax.tree.leaves(tree)})


def test_it_can_be_adjusted_in_a_run():
    tx = gradtx.adjustable(gradtx.chain(gradtx.sgd(1.0), scale_by_layer_decay(0.5, LAYERS)))
    tree = ones_like_a_transformer()
    state = gradtx.set_hyperparams(tx, tx.init(tree), {"scale_by_layer_decay.decay": 0.25})
    updates, _ = jax.jit(tx.update)(tree, state, tree)
    np.testing.assert_allclose(updates["layers"]["2"]["mlp"], -0.25)


# --- masks and holes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["embed/**", "**/bias", "layers/1/**"])
def test_layers_behind_a_mask_count(where):
    tree = ones_like_a_transformer()
    masked = gradtx.masked(scale_by_layer_decay(0.5, LAYERS), gradtx.matching(where))
    alone = factors(scale_by_layer_decay(0.5, LAYERS), tree)
    seen = {path: factor for path, factor in factors(masked, tree).items() if factor != 1.0}
    assert seen
    assert seen == {path: alone[path] for path in seen}


def test_a_function_may_have_its_layer_behind_a_mask():
    tree = ones_like_a_transformer()
    tx = gradtx.masked(
        scale_by_layer_decay(0.5, ["embed/**", lambda path, leaf: path.startswith("layers"), "**"]),
        gradtx.matching("embed/**", "head/**"),
    )
    assert factors(tx, tree)["embed/tokens"] == 0.25


def test_layers_that_cannot_be_counted_behind_a_mask_are_refused():
    tree = {"embed": {"tokens": jnp.ones(2)}, "layers": MaskedNode(), "head": {"kernel": jnp.ones(2)}}
    with pytest.raises(ValueError, match="'layers/#/kernel' matches nothing"):
        scale_by_layer_decay(0.5, ["embed/*", "layers/#/kernel", "head/*"]).init(tree)


def test_a_hole_in_no_layer_is_no_error():
    tree = {"layers": [jnp.ones(1), jnp.ones(1)], "activation": None}
    assert factors(scale_by_layer_decay(0.5, ["layers/#"]), tree) == {"layers/0": 0.5, "layers/1": 1.0}


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_a_parameter_in_no_layer_is_refused_by_path():
    with pytest.raises(ValueError, match=r"no layer has 'norm/scale'; the patterns are 'embed/\*\*', 'layers/"):
        scale_by_layer_decay(0.5, ["embed/**", "layers/#/**", "head/**"]).init(ones_like_a_transformer())


def test_a_pattern_that_matches_nothing_is_refused():
    tree = ones_like_a_transformer()
    with pytest.raises(ValueError, match=r"_layer_decay: 'layer/#/\*\*' matches nothing; did you mean 'layers/#/\*\*'\?"):
        scale_by_layer_decay(0.5, ["layer/#/**", "**"]).init(tree)
    with pytest.raises(ValueError, match=r"'head/\*\*' matches only what the patterns before it have taken"):
        scale_by_layer_decay(0.5, ["**", "head/**"]).init(tree)


@pytest.mark.parametrize("layers", ["layers/#/**", [], {"a": 0}])
def test_layers_that_are_no_list_are_refused(layers):
    with pytest.raises(TypeError, match=r"scale_by_layer_decay: layers (must be a list|is a list of patterns), "):
        scale_by_layer_decay(0.5, layers)


def test_a_layer_that_is_no_pattern_and_a_decay_above_one_are_refused():
    with pytest.raises(
        TypeError,
        match=r"scale_by_layer_decay: layers\[1\] must be a string, .* or a tuple, got 3",
    ):
        scale_by_layer_decay(0.5, ["a", 3])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"scale_by_layer_decay: decay must be at least 0 and at most 1, got 1\.5"):
        scale_by_layer_decay(1.5, LAYERS)
