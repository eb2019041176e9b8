"""Rules in which Optax errs equal their authors' code."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import recorded
import trajectories

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def expected_path(step, start, *states):
    """The last parameters after `step(p, g, t, *states) -> p, *states` on each leaf in NumPy."""

    def run(p, *gradients):
        parts = [np.full_like(p, state) for state in states]
        for t, g in enumerate(gradients, 1):
            p, *parts = step(p, np.asarray(g), t, *parts)
        return p

    gradients = [trajectories.gradients(start, t) for t in range(trajectories.STEPS)]
    return jax.tree.map(run, jax.tree.map(np.asarray, start), *gradients)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("scheduled", [False, True], ids=["constant", "scheduled"])
def test_adan_weighs_the_change_of_the_gradient_as_its_authors_code(scheduled, weight_decay):
    b1, b2, b3, eps = 0.95, 0.9, 0.97, 1e-6

    def rate(t):
        return 0.1 / (1 + 0.2 * t) if scheduled else 0.1

    def step(p, g, t, m, v, n, last):
        change = g - last if t > 1 else 0 * g
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * change
        n = b3 * n + (1 - b3) * (g + b2 * change) ** 2
        denominator = np.sqrt(n) / np.sqrt(1 - b3**t) + eps
        u = m / (1 - b1**t) / denominator + b2 * v / (1 - b2**t) / denominator
        return p - rate(t - 1) * (u + weight_decay * p), m, v, n, g

    learning_rate = (lambda count: rate(count.astype(float))) if scheduled else 0.1
    tx = gradtx.adan(learning_rate, b1, b2, b3, eps, 0.0, weight_decay)
    path, _ = trajectories.run(tx, trajectories.params())
    chex.assert_trees_all_close(path[-1], expected_path(step, trajectories.params(), 0.0, 0.0, 0.0, 0.0), rtol=1e-11)


def test_rprop_applies_the_update_of_this_step():
    # The defect table's case: gradients 1, 1, -1, -1, 1, and PyTorch's steps.
    tx = gradtx.rprop(0.1)
    state = tx.init(jnp.zeros(()))
    steps = []
    for g in (1.0, 1.0, -1.0, -1.0, 1.0):
        u, state = tx.update(jnp.asarray(g), state)
        steps.append(float(u))
    np.testing.assert_allclose(steps, [-0.1, -0.12, 0, 0.06, 0], rtol=1e-12)


def test_adadelta_without_a_learning_rate_descends_as_with_one_of_1():
    start = trajectories.params()
    default, one = trajectories.run(gradtx.adadelta(), start)[0], trajectories.run(gradtx.adadelta(1.0), start)[0]
    chex.assert_trees_all_equal(default, one)
    u, _ = gradtx.adadelta().update(jnp.asarray([1.0, -2.0]), gradtx.adadelta().init(jnp.zeros(2)), jnp.zeros(2))
    assert u[0] < 0 < u[1]


def decay(step, exponent):
    return 1 - (jnp.asarray(step, float) + 1) ** -exponent


def schedule(step):
    return 0.1 / (1 + 0.5 * jnp.asarray(step, float))


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"weight_decay_rate": 0.1, "weight_decay_mask": matrices},
        {"multiply_by_parameter_scale": False, "clipping_threshold": None},
        {"factored": False, "momentum": 0.5, "weight_decay_rate": 0.1, "decay_rate": 0.6, "eps": 1e-3},
    ],
    ids=lambda options: ",".join(options) or "defaults",
)
@pytest.mark.parametrize("learning_rate", [None, 0.1, schedule])
def test_adafactor_with_factored_leaves_moves_as_in_optax(learning_rate, options, monkeypatch):
    # Optax computes the decay in float32, unless it is given another.
    defaults = optax.scale_by_factored_rms.__defaults__ or ()
    monkeypatch.setattr(optax.scale_by_factored_rms, "__defaults__", (*defaults[:-1], decay))
    random = np.random.default_rng(0)
    shapes = {"vector": (7,), "tall": (9, 4), "wide": (3, 8), "stack": (2, 5, 6), "square": (5, 5), "thin": (2, 9)}
    start = {name: jnp.asarray(random.normal(size=shape)) for name, shape in shapes.items()}
    options = {"min_dim_size_to_factor": 3, "dtype_momentum": jnp.float64, **options}
    trajectories.assert_moves_as_in_optax(
        lambda: gradtx.adafactor(learning_rate, **options),
        lambda: optax.adafactor(learning_rate, **options),
        start,
    )


@pytest.mark.parametrize("name", ["per_example_global_norm_clip", "per_example_layer_norm_clip"])
@pytest.mark.parametrize("limit", [0.5, 2.0, 100.0])
def test_gradients_of_examples_are_clipped_as_in_optax(name, limit):
    random = np.random.default_rng(0)
    grads = [jnp.asarray(random.normal(size=(5, 3, 2))), jnp.asarray(random.normal(size=(5, 4)))]
    for uniform in [()] if "global" in name else [(True,), (False,)]:
        ours = getattr(gradtx, name)(grads, limit, *uniform)
        theirs = getattr(optax, name)(grads, limit, *uniform)
        chex.assert_trees_all_close(ours, theirs, rtol=1e-12)


def test_private_aggregates_have_the_noise_of_optax():
    random = np.random.default_rng(0)
    grads = {"a": jnp.asarray(random.normal(size=(5, 3, 2))), "b": jnp.asarray(random.normal(size=(5, 4)))}
    params = jax.tree.map(lambda g: g[0], grads)
    key = jax.random.key(7)
    ours = gradtx.dpsgd(0.1, 1.0, 0.5, key, momentum=0.9)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = optax.chain(optax.contrib.differentially_private_aggregate(1.0, 0.5, key), optax.trace(0.9), optax.scale(-0.1))
        their_state, state = theirs.init(params), ours.init(params)
        for _ in range(3):
            expected, their_state = theirs.update(grads, their_state, params)
            actual, state = ours.update(grads, state, params)
            chex.assert_trees_all_close(actual, expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("tx", "label"),
    [
        (gradtx.rprop(0.01), "Rprop(), gradients times 1"),
        (
            gradtx.chain(gradtx.scale(-1.0), gradtx.rprop(0.1, 0.3, 1.5, 0.001, 0.5)),
            "Rprop(lr=0.1, etas=(0.3, 1.5), step_sizes=(0.001, 0.5), maximize=True), gradients times 1",
        ),
    ],
)
def test_rprop_moves_as_in_torch(tx, label):
    recorded.assert_moves_as_recorded(tx, recorded.read("torch_optimizers")[label])
