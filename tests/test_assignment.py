"""The assignment is the one that SciPy finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from gradtx.assignment import hungarian_algorithm


@settings(max_examples=40, deadline=None)
@given(n=st.sampled_from([1, 2, 5]), m=st.sampled_from([1, 3, 5]), seed=st.integers(0, 2**16), integers=st.booleans())
def test_the_cost_is_the_least(n, m, seed, integers):
    random = np.random.default_rng(seed)
    costs = random.integers(-3, 4, size=(n, m)) if integers else random.normal(size=(n, m))
    costs = costs.astype(np.float32)
    rows, columns = jax.jit(hungarian_algorithm)(jnp.asarray(costs))
    expected = costs[linear_sum_assignment(costs)].sum()
    assert sorted(set(np.asarray(rows))) == list(np.asarray(rows))
    assert len(set(np.asarray(columns))) == min(n, m)
    np.testing.assert_allclose(costs[np.asarray(rows), np.asarray(columns)].sum(), expected, rtol=1e-5, atol=1e-5)


def test_a_batch_is_matched_under_jit_and_vmap():
    costs = jnp.asarray(np.random.default_rng(0).normal(size=(6, 7, 9)), jnp.float32)
    rows, columns = jax.jit(jax.vmap(hungarian_algorithm))(costs)
    for k in range(6):
        expected = linear_sum_assignment(np.asarray(costs[k]))
        np.testing.assert_array_equal(np.stack([rows[k], columns[k]]), np.stack(expected))


def test_an_infinite_cost_forbids_a_pair():
    costs = np.asarray([[1.0, 2.0, np.inf], [np.inf, 5.0, np.inf], [3.0, 1.0, 9.0]], np.float32)
    _, columns = hungarian_algorithm(jnp.asarray(costs))
    np.testing.assert_array_equal(columns, linear_sum_assignment(costs)[1])


def test_integers_are_costs_too():
    rows, columns = hungarian_algorithm(jnp.asarray([[4, 1, 3], [2, 0, 5], [3, 2, 2]]))
    np.testing.assert_array_equal(rows, [0, 1, 2])
    np.testing.assert_array_equal(columns, [1, 0, 2])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_is_matched_with_nothing(shape):
    rows, columns = hungarian_algorithm(jnp.zeros(shape))
    assert rows.shape == columns.shape == (0,)


def test_costs_that_are_not_finite_end_the_search():
    jax.block_until_ready(hungarian_algorithm(jnp.full((3, 3), jnp.inf)))
    jax.block_until_ready(hungarian_algorithm(jnp.full((3, 3), jnp.nan)))


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match="must have two axes, got the shape"):
        hungarian_algorithm(jnp.zeros(3))
