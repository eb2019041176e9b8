"""`look_sam` is the algorithm of its paper, and `sam` where it climbs in each step."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

RATE, RHO, ALPHA = 0.05, 0.1, 0.7
CURVATURES = np.asarray([4.0, 1.0, 0.25, 0.5])
START = np.asarray([1.0, -2.0, 3.0, 0.5])


def gradient(p):
    """Of a sum of quartic and quadratic functions, as a tree of two leaves."""
    return {"w": CURVATURES[:2] * p["w"] + p["w"] ** 3, "b": CURVATURES[2:] * p["b"] + p["b"] ** 3}


def as_tree(p):
    return {"w": jnp.asarray(p[:2]), "b": jnp.asarray(p[2:])}


def trained(tx, steps):
    params = as_tree(START)
    state, points = tx.init(params), []
    update = jax.jit(lambda g, state, params: tx.update(g, state, params, grad_fn=lambda p, _: gradient(p)))
    for _ in range(steps):
        updates, state = update(gradient(params), state, params)
        params = gradtx.apply_updates(params, updates)
        points.append(np.concatenate([params["w"], params["b"]]))
    return np.stack(points), state


def of_the_paper(steps, every):
    """Algorithm 1, with plain gradient descent."""
    p, points, flat = START, [], np.zeros_like(START)
    for t in range(steps):
        g = CURVATURES * p + p**3
        if t % every == 0:
            there = p + RHO * g / np.linalg.norm(g)
            used = CURVATURES * there + there**3
            cosine = used @ g / (np.linalg.norm(used) * np.linalg.norm(g))
            flat = used - np.linalg.norm(used) * cosine * g / np.linalg.norm(g)
        else:
            used = g + ALPHA * np.linalg.norm(g) / np.linalg.norm(flat) * flat
        p = p - RATE * used
        points.append(p)
    return np.stack(points)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("every", [1, 3, 10])
def test_it_moves_as_the_paper_says(every):
    points, _ = trained(gradtx.look_sam(gradtx.sgd(RATE), RHO, every, ALPHA), 25)
    np.testing.assert_allclose(points, of_the_paper(25, every), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_climbing_in_each_step_it_is_sam():
    climb = gradtx.chain(gradtx.normalize(), gradtx.sgd(RHO))
    points, _ = trained(gradtx.look_sam(gradtx.sgd(RATE), RHO, every=1), 20)
    np.testing.assert_allclose(points, trained(gradtx.sam(gradtx.sgd(RATE), climb, opaque_mode=True), 20)[0], atol=1e-12)


def test_between_climbs_no_other_gradient_is_taken():
    taken = []
    params = as_tree(START)
    tx = gradtx.look_sam(gradtx.sgd(RATE), every=3)

    def counted(p, _):
        jax.debug.callback(lambda: taken.append(1))
        return gradient(p)

    state = tx.init(params)
    for _ in range(7):
        _, state = jax.jit(lambda g, state, params: tx.update(g, state, params, grad_fn=counted))(params, state, params)
    jax.effects_barrier()
    assert len(taken) == 3  # of steps 0, 3 and 6


def test_where_there_is_no_gradient_nothing_moves():
    zeros = jax.tree.map(jnp.zeros_like, as_tree(START))
    tx = gradtx.look_sam(gradtx.sgd(RATE), every=2)
    state = tx.init(zeros)
    for _ in range(4):
        updates, state = tx.update(zeros, state, zeros, grad_fn=lambda p, _: gradient(p))
        chex.assert_trees_all_equal(updates, zeros)


def test_without_a_function_of_gradients_the_error_says_what_it_reads():
    params = as_tree(START)
    tx = gradtx.look_sam(gradtx.sgd(RATE))
    with pytest.raises(TypeError, match="look_sam reads 'grad_fn'"):
        tx.update(params, tx.init(params), params)
