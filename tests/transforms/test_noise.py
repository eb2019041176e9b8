"""Gradient noise: its variance, its precision, its key."""

import functools
import io
from typing import Any

import chex
import equinox
import flax.serialization
import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from gradtx.transforms.noise import add_noise

foreign: Any = optax  # another library's classes are not ours to the type checker


def noise(like, steps=1, eta=1.0, gamma=0.0):
    tx = add_noise(eta, gamma, seed=0)
    u = g = jnp.zeros_like(like)
    state = tx.init(like)
    for _ in range(steps):
        u, state = tx.update(g, state)
    return u


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_noise_in_low_precision_is_that_of_float32_rounded(dtype):
    chex.assert_trees_all_equal(noise(jnp.ones(100, dtype)), noise(jnp.ones(100)).astype(dtype))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.complex64, jnp.complex128])
def test_wider_gradients_have_noise_of_their_own_dtype_as_optax_has(dtype, x64):
    params = jnp.ones(10, dtype)
    theirs = foreign.add_noise(1.0, 0.0, 0)
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = theirs.update(0 * params, theirs.init(params))
    assert noise(params).dtype == dtype
    chex.assert_trees_all_close(noise(params), expected.astype(dtype), rtol=1e-6)


def test_the_variance_is_eta_and_fades():
    many = jnp.ones(100_000)
    assert jnp.var(noise(many, eta=0.25)) == pytest.approx(0.25, rel=0.02)
    assert jnp.var(noise(many, steps=4, eta=0.25, gamma=0.5)) == pytest.approx(0.125, rel=0.02)
    complex_noise = noise(many.astype(jnp.complex64), eta=0.25)
    assert jnp.mean(jnp.abs(complex_noise) ** 2) == pytest.approx(0.25, rel=0.02)


def test_every_leaf_and_every_step_has_noise_of_its_own():
    g, tx = {"a": jnp.zeros(5), "b": jnp.zeros(5)}, add_noise(1.0, 0.0, key=3)
    first, state = tx.update(g, tx.init(g))
    second, _ = tx.update(g, state)
    drawn = [*first.values(), *second.values()]
    assert len({tuple(x.tolist()) for x in drawn}) == 4


def test_a_key_may_be_a_number_an_old_key_or_a_new_one():
    params = jnp.ones(3)
    states = [add_noise(1.0, 0.0, key=key).init(params) for key in (7, jnp.asarray(7), jax.random.key(7))]
    for state in states[1:]:
        chex.assert_trees_all_equal(state.rng_key, states[0].rng_key)
    old = add_noise(1.0, 0.0, key=jax.random.PRNGKey(7))
    chex.assert_trees_all_equal(old.update(params, old.init(params))[0], params + noise_of_seed(7, params))


def noise_of_seed(seed, params):
    tx = add_noise(1.0, 0.0, seed=seed)
    return tx.update(0 * params, tx.init(params))[0]


def test_without_a_key_the_random_numbers_are_those_of_key_0():
    params = jnp.zeros(5)
    for tx, same in [(add_noise(1.0, 0.5), add_noise(1.0, 0.5, 0)), (gradtx.noisy_sgd(1.0), gradtx.noisy_sgd(1.0, seed=0))]:
        chex.assert_trees_all_equal(tx.update(params, tx.init(params)), same.update(params, same.init(params)))


def test_a_key_and_a_seed_are_one_too_many():
    with pytest.raises(ValueError, match="add_noise: seed is another word for key; give one of the two"):
        add_noise(1.0, 0.0, 0, seed=0)


STATES = {
    "add_noise": lambda key: add_noise(0.1, 0.5, key),
    "differentially_private_aggregate": lambda key: gradtx.differentially_private_aggregate(1.0, 1.0, key),
    "hutchinson_estimator_diag_hessian": gradtx.hutchinson_estimator_diag_hessian,
}
OBJECTIVE = {"obj_fn": jnp.sum}


def written_by_flax(state):
    return flax.serialization.from_bytes(state, flax.serialization.to_bytes(state))


def written_by_equinox(state):
    file = io.BytesIO()
    equinox.tree_serialise_leaves(file, state)
    file.seek(0)
    return equinox.tree_deserialise_leaves(file, state)


@pytest.mark.parametrize("name", STATES)
def test_a_key_survives_every_serializer_and_typed_keys_of_older_states_are_read(name):
    params = jnp.ones(3)
    g = params if name == "add_noise" else jnp.ones((2, 3)) if "private" in name else params
    extra = OBJECTIVE if "hutchinson" in name else {}
    for key in (7, jax.random.key(7), jax.random.key(7, impl="rbg")):
        tx = STATES[name](key)
        update = functools.partial(tx.update, g, params=params, **extra)
        _, state = update(state=tx.init(params))
        expected, after = update(state=state)
        for written in (written_by_flax, written_by_equinox):
            chex.assert_trees_all_equal(update(state=jax.tree.map(jnp.asarray, written(state)))[0], expected)
        impl = None if isinstance(key, int) else jax.random.key_impl(key)
        field = state._fields[-1]
        typed = state._replace(**{field: jax.random.wrap_key_data(getattr(state, field), impl=impl)})
        updates, typed = update(state=typed)
        chex.assert_trees_all_equal(updates, expected)
        assert jnp.issubdtype(getattr(typed, field).dtype, jax.dtypes.prng_key)  # the state keeps its type
        chex.assert_trees_all_equal(jax.random.key_data(getattr(typed, field)), getattr(after, field))


def test_a_variance_is_not_negative():
    with pytest.raises(ValueError, match=r"add_noise: eta must be at least 0, got -0.1"):
        add_noise(-0.1, 0.55)
