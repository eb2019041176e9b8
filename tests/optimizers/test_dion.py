"""`scale_by_dion`: what its rank means, and its random start. (Its path is in tests/oracles.)"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

SHAPES = {"tall": (8, 3), "wide": (3, 8), "heads": (2, 8, 6)}
PARAMS = {name: jnp.ones(shape) for name, shape in SHAPES.items()}


def gradients(seed=0):
    draw = np.random.default_rng(seed).normal
    return {name: jnp.asarray(draw(size=shape), jnp.float32) for name, shape in SHAPES.items()}


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        (2, {"tall": 2, "wide": 2, "heads": 2}),
        (0.5, {"tall": 2, "wide": 2, "heads": 3}),
        (100, {"tall": 3, "wide": 3, "heads": 6}),
    ],
)
def test_a_rank_is_a_number_of_directions_or_a_share_of_the_smaller_side(rank, expected):
    numbers = gradtx.MuonDimensionNumbers(-2, -1)
    tx = gradtx.scale_by_dion(rank, weight_dimension_numbers=numbers)
    state = tx.init(PARAMS)
    assert {name: q.shape[-1] for name, q in state.factors.items()} == expected
    updates, state = tx.update(gradients(), state)
    for name, u in updates.items():
        values = np.linalg.svd(u, compute_uv=False)
        np.testing.assert_allclose(values[..., expected[name] :], 0, atol=1e-5)
        assert np.linalg.matrix_rank(u, rtol=1e-4).min() == expected[name]


@pytest.mark.parametrize("rank", [0, -1, 0.0, 1.5])
def test_another_rank_is_refused(rank):
    with pytest.raises(ValueError, match="scale_by_dion: rank must be an integer of at least 1, or a float"):
        gradtx.scale_by_dion(rank)


def test_the_first_directions_are_those_of_a_key():
    def factors(**options):
        return gradtx.scale_by_dion(2, **options).init({"w": PARAMS["tall"]}).factors["w"]

    chex.assert_trees_all_equal(factors(key=3), factors(seed=3), factors(key=jax.random.key(3)))
    assert not jnp.array_equal(factors(), factors(key=3))
    with pytest.raises(ValueError, match="seed is another word for key"):
        factors(key=1, seed=2)


def test_a_gradient_of_zeros_or_without_a_number_keeps_the_directions():
    tx = gradtx.scale_by_dion(2)
    params = {"w": PARAMS["tall"]}
    start = tx.init(params)
    for number in (0.0, jnp.nan, jnp.inf):
        updates, state = tx.update({"w": jnp.full((8, 3), number)}, start)
        chex.assert_trees_all_equal(state.factors, start.factors)
        assert jnp.all(updates["w"] == 0) if number == 0 else jnp.all(jnp.isnan(updates["w"]))
