"""The state of a transformation in another dtype."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx
from gradtx import testing

PARAMS = {"w": jnp.linspace(-1, 1, 12).reshape(3, 4), "b": jnp.ones(4)}


def test_the_whole_state_or_parts_of_it_are_stored_in_another_dtype():
    for dtype, mu, nu in [
        (jnp.float16, jnp.float16, jnp.float16),
        ({"mu": jnp.bfloat16}, jnp.bfloat16, jnp.float32),
        ({"ScaleByAdamState.mu": "float16", "nu": jnp.float32}, jnp.float16, jnp.float32),
    ]:
        tx = gradtx.stored(gradtx.adam(0.1), dtype)
        state = tx.init(PARAMS)
        assert type(state) is type(gradtx.adam(0.1).init(PARAMS))
        assert {leaf.dtype for leaf in jax.tree.leaves(state[0].mu)} == {jnp.dtype(mu)}
        assert {leaf.dtype for leaf in jax.tree.leaves(state[0].nu)} == {jnp.dtype(nu)}
        assert state[0].count.dtype == jnp.int32
        updates, new_state = jax.jit(tx.update)(PARAMS, state, PARAMS)
        chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(updates))


def test_what_is_computed_is_rounded_once():
    tx, plain = gradtx.stored(gradtx.trace(0.5), jnp.bfloat16), gradtx.trace(0.5)
    updates, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    expected, _ = plain.update(PARAMS, plain.init(PARAMS), PARAMS)
    chex.assert_trees_all_equal(updates, expected)
    chex.assert_trees_all_equal(state.trace, gradtx.tree.cast(expected, jnp.bfloat16))
    updates, _ = tx.update(PARAMS, state, PARAMS)
    chex.assert_trees_all_equal(updates, jax.tree.map(lambda g, m: g + 0.5 * m.astype(jnp.float32), PARAMS, state.trace))


def test_a_transformation_of_another_library_computes_in_float32():
    def update(updates, state, params=None):
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
        return updates, state

    tx = gradtx.stored(gradtx.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update), jnp.bfloat16)
    state = tx.init(PARAMS)
    _, new_state = tx.update(PARAMS, state, PARAMS)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)


def test_what_meets_in_the_state_of_float64_parameters_is_in_one_precision():
    """L-BFGS has rings, which are stored, of scalars, which are not."""
    testing.state_keeps_its_type(gradtx.stored(gradtx.scale_by_lbfgs(3), jnp.bfloat16), {"scalar": jnp.asarray(0.5)})


def test_an_average_that_cannot_decay_warns():
    with pytest.warns(UserWarning, match=r"stored: nu with b2 = 0.999 never decays in bfloat16"):
        gradtx.stored(gradtx.adam(0.1), jnp.bfloat16).init(PARAMS)
    gradtx.stored(gradtx.adam(0.1, b2=0.98), jnp.bfloat16).init(PARAMS)
    gradtx.stored(gradtx.adam(0.1), jnp.float16).init(PARAMS)


def test_a_name_that_the_state_has_not_is_an_error_with_those_it_has():
    with pytest.raises(ValueError, match=r"stored: the state has no 'muu'.*there are .*mu.*nu"):
        gradtx.stored(gradtx.adam(0.1), {"muu": jnp.bfloat16}).init(PARAMS)


def test_a_complex_dtype_is_refused_when_it_is_built():
    with pytest.raises(TypeError, match="stored: what is real is not stored in complex64"):
        gradtx.stored(gradtx.adam(0.1), {"mu": jnp.complex64})


@pytest.mark.parametrize("dtype", [jnp.float8_e4m3fn, {"mu": jnp.float8_e5m2}])
def test_8_bits_are_refused(dtype):
    with pytest.raises(ValueError, match=r"stored: of the numbers in a state most would be 0 in float8"):
        gradtx.stored(gradtx.adam(0.1), dtype)


@pytest.mark.parametrize("dtype", [jnp.int8, "int8", {"mu": bool}])
def test_a_dtype_that_is_not_floating_is_refused(dtype):
    with pytest.raises(TypeError, match=r"stored: .*dtype"):
        gradtx.stored(gradtx.adam(0.1), dtype)
