"""Which parameters decay: as the Trainer says of its models, and in trees of Flax and equinox."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from flax import nnx
from jax.tree_util import keystr, tree_leaves_with_path

import gradtx
from gradtx.interop.transformers import decay_mask

GOLDEN = recorded.read("transformers_trainer")
MODELS = [label.removeprefix("names of ") for label in GOLDEN if label.startswith("names of ")]


def decaying(params) -> set[str]:
    return {keystr(path, simple=True, separator="/") for path, decays in tree_leaves_with_path(decay_mask(params)) if decays}


@pytest.mark.parametrize("model", MODELS)
def test_the_parameters_decay_that_do_in_the_trainer(model):
    names, decay = GOLDEN[f"names of {model}"].tolist(), GOLDEN[f"decay of {model}"].tolist()
    assert decay_mask(dict.fromkeys(names, 0.0)) == dict(zip(names, decay, strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_a_nested_tree_is_masked_as_a_flat_one(model):
    nested: dict = {}
    for name, decays in zip(GOLDEN[f"names of {model}"].tolist(), GOLDEN[f"decay of {model}"].tolist(), strict=True):
        *parents, last = name.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = decays
    assert decay_mask(nested) == nested


def test_a_block_of_linen():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Embed(11, 8)(x)
            x = x + nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(x))
            x = x + nn.Dense(8, name="mlp_out")(nn.Dense(16)(nn.RMSNorm()(x)))
            return nn.LayerNorm(name="ln_f")(nn.GroupNorm(2, name="last")(x))

    params = Block().init(jax.random.key(0), jnp.zeros((1, 4), int))["params"]
    attention = "MultiHeadDotProductAttention_0"
    assert decaying(params) == {
        "Embed_0/embedding",
        *(f"{attention}/{part}/kernel" for part in ("query", "key", "value", "out")),
        "Dense_0/kernel",
        "mlp_out/kernel",
    }


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(11, 8, rngs=rngs)
        self.norm1 = nnx.LayerNorm(8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 8, rngs=rngs)
        self.last = nnx.RMSNorm(8, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(8, 8, rngs=rngs)])


def test_a_block_of_nnx():
    state = nnx.state(NnxBlock(nnx.Rngs(0)), nnx.Param)
    matrices = {
        "embed/embedding",
        "layers/0/kernel",
        *(f"attention/{part}/kernel" for part in ("query", "key", "value", "out")),
    }
    assert decaying(nnx.to_pure_dict(state)) == matrices
    assert decaying(state) == {f"{path}/value" for path in matrices}
    assert jax.tree.structure(decay_mask(state)) == jax.tree.structure(state)


class EquinoxBlock(eqx.Module):
    before: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    after: eqx.nn.RMSNorm
    layers: list
    temperature: jax.Array
    name: str = eqx.field(static=True, default="block")


def test_a_block_of_equinox():
    keys = jax.random.split(jax.random.key(0), 3)
    block = EquinoxBlock(
        eqx.nn.LayerNorm(8),
        eqx.nn.MultiheadAttention(2, 8, use_output_bias=True, key=keys[0]),
        eqx.nn.RMSNorm(8),
        [eqx.nn.Linear(8, 16, key=keys[1]), jax.nn.gelu, eqx.nn.Linear(16, 8, key=keys[2])],
        jnp.ones(()),
    )
    params = eqx.filter(block, eqx.is_inexact_array)
    assert decaying(params) == {
        *(f"attention/{part}_proj/weight" for part in ("query", "key", "value", "output")),
        "layers/0/weight",
        "layers/2/weight",
        "temperature",
    }
    assert jax.tree.structure(decay_mask(params)) == jax.tree.structure(params)
    tx = gradtx.adamw(1.0, weight_decay=0.1, mask=decay_mask)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_array_equal(updates.before.weight, 0.0)
    np.testing.assert_allclose(updates.layers[0].weight, -0.1 * block.layers[0].weight, rtol=1e-6)


@pytest.mark.parametrize(
    "path",
    [
        "ln/w",
        "ln1/w",
        "lnf/w",
        "ln_pre/w",
        "norm2/w",
        "layer_norm1/w",
        "q_norm/w",
        "x/norm",
        "MyRMSNorm_3/w",
        "logit_bias/w",
        "a/scale",
    ],
)
def test_a_path_of_a_norm_or_a_bias_does_not_decay(path):
    assert decay_mask({path: 0.0}) == {path: False}


@pytest.mark.parametrize(
    "path", ["lnear/w", "normal/w", "normed/w", "renorm/w", "logit_scale", "scales/w", "embedding", "norm_f/w"]
)
def test_a_path_that_only_resembles_one_decays(path):
    assert decay_mask({path: 0.0}) == {path: True}


def test_holes_stay_holes():
    assert decay_mask({"a": None, "bias": 1.0}) == {"a": None, "bias": False}


def test_shapes_are_enough():
    shapes = jax.eval_shape(lambda: {"kernel": jnp.ones(3), "bias": jnp.ones(3)})
    assert decay_mask(shapes) == {"kernel": True, "bias": False}
