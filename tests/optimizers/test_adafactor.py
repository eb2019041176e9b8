"""The factored second moment: memory, decay, spikes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import tree


def test_a_matrix_keeps_a_number_for_each_row_and_column():
    state = gradtx.scale_by_factored_rms().init(jnp.zeros((1000, 200)))
    assert tree.size((state.v_row, state.v_col, state.v)) == 1000 + 200 + 1


@pytest.mark.parametrize(
    ("shape", "rows", "columns"), [((2, 9, 4), (2, 4), (2, 9)), ((9, 2, 4), (2, 4), (9, 2)), ((3, 4), (3,), (4,))]
)
def test_the_two_largest_axes_are_factored(shape, rows, columns):
    state = gradtx.scale_by_factored_rms(min_dim_size_to_factor=3).init(jnp.zeros(shape))
    assert (state.v_row.shape, state.v_col.shape, state.v.shape) == (rows, columns, (1,))


def test_a_square_of_rank_one_is_kept_exactly():
    random = np.random.default_rng(0)
    g = jnp.asarray(np.outer(random.normal(size=5), random.normal(size=7)), jnp.float32)
    updates = []
    for factored in (True, False):
        tx = gradtx.scale_by_factored_rms(factored, min_dim_size_to_factor=2)
        u, state = tx.update(g, tx.init(g))
        updates += [u, tx.update(2 * g, state)[0]]
    np.testing.assert_allclose(updates[0], updates[2], rtol=1e-5)
    np.testing.assert_allclose(updates[1], updates[3], rtol=1e-5)


@pytest.mark.parametrize("tx", [gradtx.scale_by_factored_rms(step_offset=5), gradtx.adafactor(1e-2, decay_offset=5)])
def test_a_decay_that_lags_behind_has_no_memory_until_then(tx):
    # In Optax the base of the power is negative until then, which gives NaN.
    params = jnp.ones(3)
    state = tx.init(params)
    for scale in (1.0, 100.0, 1.0):
        updates, state = tx.update(scale * params, state, params)
        np.testing.assert_allclose(jnp.abs(updates), jnp.abs(updates[0]))
        assert jnp.isfinite(updates).all()
    np.testing.assert_allclose(tree.get(state, "v"), 1.0)  # of the last gradient alone


def test_the_decay_may_be_any_function_of_the_step():
    tx = gradtx.scale_by_factored_rms(decay_rate=0.25, decay_rate_fn=lambda step, rate: jnp.where(step < 9, rate, 0.0))
    _, state = tx.update(jnp.full(3, 2.0), tx.init(jnp.zeros(3)))
    np.testing.assert_allclose(state.v, 0.75 * 4, rtol=1e-6)


@pytest.mark.parametrize("magnitude", [1e19, 1e20, 1e38])
def test_means_of_squares_that_overflow_make_no_nan(magnitude):
    tx = gradtx.scale_by_factored_rms(min_dim_size_to_factor=2)
    g = jnp.ones((6, 5))
    state = tx.init(g)
    for scale in (1.0, magnitude, magnitude, 1.0):
        updates, state = tx.update(scale * g, state)
        assert jnp.isfinite(updates).all()
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
