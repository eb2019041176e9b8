"""What decomposes matrices, or multiplies them into others, stays finite after gradients that have few directions or sizes."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx

METHODS = {
    "muon": lambda: gradtx.muon(0.1),
    "muon, polar express": lambda: gradtx.muon(0.1, "polar_express"),
    "normuon": lambda: gradtx.normuon(0.1),
    "adamuon": lambda: gradtx.adamuon(0.1),
    "soap": lambda: gradtx.soap(0.1, every=3),
    "kl_soap": lambda: gradtx.kl_soap(0.1, every=3),
    "splus": lambda: gradtx.splus(0.1),
    "distributed_shampoo": lambda: gradtx.distributed_shampoo(0.1, every=3),
    "kron": lambda: gradtx.kron(0.1),
    "scion": lambda: gradtx.scion(0.1, "spectral"),
    "dion": lambda: gradtx.dion(0.1, 2),
    "galore": lambda: gradtx.galore(0.1, 2, 3),
    "apollo": lambda: gradtx.apollo(0.1, 2, 3),
    "apollo_mini": lambda: gradtx.apollo_mini(0.1, update_proj_gap=3),
    "fira": lambda: gradtx.fira(0.1, 2, 3),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_strange_gradients_leave_everything_finite(method, dtype):
    tx = METHODS[method]()

    def gradients(key):
        matrix = jax.random.normal(key, (4, 6))
        row, column = jnp.arange(6.0), matrix[:, 0]
        seldom = jnp.where(jax.random.bernoulli(key, 0.2), 1, 0)
        strange = {
            "zero": 0 * matrix,
            "of rank 1": jnp.outer(column, row),
            "of one row": matrix.at[1:].set(0),
            "tiny": 1e-30 * matrix,
            "huge": 1e30 * matrix,
            "seldom": seldom * matrix,
            "now and then huge": (1 + seldom * 1e30) * matrix,
        }
        return jax.tree.map(lambda x: x.astype(dtype), strange)

    params = jax.tree.map(jnp.ones_like, gradients(jax.random.key(0)))

    @jax.jit
    def run():
        def step(state, key):
            updates, state = tx.update(gradients(key), state, params)
            return state, updates

        return jax.lax.scan(step, tx.init(params), jax.random.split(jax.random.key(1), 200))

    state, updates = run()
    chex.assert_tree_all_finite((state, updates))
    # Where the gradient is 0 nothing but weight decay moves the parameters, all alike.
    chex.assert_trees_all_equal(updates["zero"], jnp.broadcast_to(updates["zero"][:, :1, :1], updates["zero"].shape))
