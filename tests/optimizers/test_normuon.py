"""NorMuon on trees of all kinds of leaves, and on gradients of all sizes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

NUMBERS = {
    "matrix": gradtx.MuonDimensionNumbers(),
    "kernel": gradtx.MuonDimensionNumbers((0, 1, 2), 3),
    "stack": gradtx.MuonDimensionNumbers(-2, -1),
    "empty": gradtx.MuonDimensionNumbers(),
    "vector": None,
    "scalar": None,
}
SHAPES = {"matrix": (4, 6), "kernel": (3, 3, 2, 5), "stack": (2, 3, 4), "empty": (0, 3), "vector": (4,), "scalar": ()}


def gradients(dtype=jnp.float32):
    random = np.random.default_rng(0)
    return {name: jnp.asarray(random.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def test_the_state_has_a_number_for_each_output_and_what_is_no_matrix_uses_adamw():
    tx, g = gradtx.normuon(0.1, muon_weight_dimension_numbers=NUMBERS, adam_weight_decay=0.1), gradients()
    state = tx.init(g)
    rows = gradtx.tree.get(state, "inner_states")["muon"].inner_state[1]
    shapes = {name: nu.shape for name, nu in rows.nu.items() if not gradtx.tree.is_hole(nu)}
    assert shapes == {"matrix": (6,), "kernel": (5,), "stack": (2, 4), "empty": (3,)}
    updates, _ = jax.jit(tx.update)(g, state, g)
    others = {name: g[name] for name in ("vector", "scalar")}
    adamw = gradtx.adamw(0.1, weight_decay=0.1)
    chex.assert_trees_all_close({name: updates[name] for name in others}, adamw.update(others, adamw.init(others), others)[0])


def test_the_norm_of_each_matrix_is_kept_and_its_columns_are_equally_long():
    g = gradients()["stack"]
    tx = gradtx.scale_by_row_rms(weight_dimension_numbers=NUMBERS["stack"])
    u, _ = tx.update(g, tx.init(g))
    norm = lambda x, axis: jnp.linalg.norm(x, axis=axis)  # noqa: E731
    chex.assert_trees_all_close(norm(u, (-2, -1)), norm(g, (-2, -1)), rtol=1e-5)
    columns = norm(u, -2)  # of the first step, whose mean square is its own
    chex.assert_trees_all_close(columns, jnp.broadcast_to(columns[:, :1], columns.shape), rtol=1e-5)


def test_masked_leaves_stay_masked():
    g = gradients() | {"matrix": gradtx.MaskedNode(), "vector": None}
    tx = gradtx.scale_by_row_rms(weight_dimension_numbers=lambda tree: NUMBERS["kernel"])
    g = {"kernel": g["kernel"], "masked": gradtx.MaskedNode(), "none": None}
    updates, state = tx.update(g, tx.init(g))
    chex.assert_trees_all_equal_structs(updates, g)
    chex.assert_trees_all_equal_structs(state, tx.init(g))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("make", [gradtx.normuon, gradtx.adamuon], ids=["normuon", "adamuon"])
def test_gradients_of_all_kinds_give_bounded_steps(make, dtype):
    tx, g = make(0.1, muon_weight_dimension_numbers=NUMBERS), gradients(dtype)
    rank1 = jax.tree.map(lambda x: jnp.ones_like(x), g)
    kinds = [jax.tree.map(jnp.zeros_like, g), rank1, *(jax.tree.map(lambda x, s=s: x * s, g) for s in (1e-30, 1e-3, 1e30))]

    def step(carry, k):
        params, state = carry
        gradient = jax.lax.switch(k, [lambda kind=kind: kind for kind in kinds])
        updates, state = tx.update(gradient, state, params)
        return (gradtx.apply_updates(params, updates), state), updates

    for order in (jnp.arange(200) % 5, jnp.arange(200) // 40):
        carry, updates = jax.jit(lambda order: jax.lax.scan(step, (g, tx.init(g)), order))(order)
        chex.assert_tree_all_finite((carry, updates))
        assert max(float(jnp.max(jnp.abs(u), initial=0)) for u in jax.tree.leaves(updates)) < 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gradtx.scale_by_row_rms(axis=0), r"scale_by_row_rms: axis must be -2 \(inputs\) or -1 \(outputs\).*got 0"),
        (
            lambda: gradtx.scale_by_row_rms().init({"v": jnp.ones(3)}),
            r"scale_by_row_rms: \['v'\] has the shape \(3,\), which has",
        ),
        (
            lambda: gradtx.scale_by_row_rms(weight_dimension_numbers={"v": None}).init({"v": jnp.ones(3)}),
            r"\['v'\] has no dimension numbers",
        ),
    ],
)
def test_what_is_no_matrix_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
