"""Adam-mini: which blocks have a mean square of their own, and what cannot be one."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

PARAMS = {
    "embed": jnp.ones((5, 4)),
    "query": {"kernel": jnp.ones((4, 2, 3)), "bias": jnp.ones((2, 3))},
    "dense": {"kernel": jnp.ones((4, 6)), "bias": jnp.ones(6)},
    "scale": jnp.ones(()),
}
BLOCKS: dict[str, Any] = {"embed": "inputs", "query/kernel": "heads", "query/bias": "whole", "**/kernel": "outputs"}
EXTENDED = {"embed": (1,), "query": {"kernel": (0, 2), "bias": (0, 1)}, "dense": {"kernel": (0,), "bias": ()}, "scale": ()}


def test_each_block_has_one_mean_square():
    rng = np.random.default_rng(0)
    tx = gradtx.scale_by_adam_mini(0.9, 0.99, blocks=BLOCKS)
    state = tx.init(PARAMS)
    mean = square = jax.tree.map(lambda p: 0.0, PARAMS)
    for t in (1, 2, 3):
        grads = jax.tree.map(lambda p: rng.normal(size=p.shape), PARAMS)
        updates, state = tx.update(jax.tree.map(lambda g: jnp.asarray(g, jnp.float32), grads), state)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
        square = jax.tree.map(lambda g, v, axes: 0.99 * v + 0.01 * (g**2).mean(axes, keepdims=True), grads, square, EXTENDED)
        expected = jax.tree.map(lambda m, v, t=t: m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8), mean, square)
        jax.tree.map(lambda u, e: np.testing.assert_allclose(u, e, rtol=1e-5), updates, expected)
    assert jax.tree.map(jnp.shape, state.nu) == {
        "embed": (5,),
        "query": {"kernel": (2,), "bias": ()},
        "dense": {"kernel": (6,), "bias": (6,)},
        "scale": (),
    }


def test_blocks_of_one_entry_are_adams():
    mini, adam = gradtx.scale_by_adam_mini(blocks={"**": "entries"}), gradtx.scale_by_adam()
    grads = jax.tree.map(lambda p: jnp.arange(p.size, dtype=float).reshape(p.shape) - 3, PARAMS)
    found, _ = mini.update(grads, mini.init(PARAMS))
    expected, _ = adam.update(grads, adam.init(PARAMS))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_pattern_that_matches_nothing_is_an_error_that_names_what_was_meant():
    tx = gradtx.scale_by_adam_mini(blocks={"**/kernl": "outputs"})
    with pytest.raises(ValueError, match=re.escape("'**/kernl' matches nothing; did you mean '**/kernel'?")):
        tx.init(PARAMS)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            {"**/bias": "rows"},
            r"blocks\['\*\*/bias'\] must be \"outputs\", \"inputs\", \"heads\", \"whole\" or \"entries\", got 'rows'",
        ),
        ({"dense/bias": "heads"}, r"blocks: 'dense/bias' has no heads: its shape is \(6,\)"),
    ],
    ids=["another word", "no heads"],
)
def test_what_is_not_a_block_is_refused(blocks, message):
    with pytest.raises(ValueError, match=message):
        gradtx.adam_mini(1e-3, blocks=blocks).init(PARAMS)
