"""Private gradients: each example is bounded, the noise is new at every step and in every leaf."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import trajectories

import gradtx

CLIPS = [gradtx.per_example_global_norm_clip, gradtx.per_example_layer_norm_clip]


def of_examples(dtype=jnp.float32, examples=5):
    random = np.random.default_rng(0)
    shapes = {"w": (examples, 3, 2), "b": (examples, 4)}
    return {name: jnp.asarray(random.normal(size=shape), dtype) for name, shape in shapes.items()}


def fading(count):
    return 0.1 / (1 + jnp.asarray(count, float))


def first(grads):
    return jax.tree.map(lambda g: g[0], grads)


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("magnitude", [1e-30, 1.0, 1e20, 1e30])
def test_no_example_counts_for_more_than_the_bound(clip, magnitude):
    grads = jax.tree.map(lambda g: magnitude * g[:1], of_examples())
    total, clipped = clip(grads, 0.5)
    assert gradtx.tree.norm(total) <= 0.5 * (1 + 1e-6)
    counts = jnp.asarray(jax.tree.leaves(clipped))
    assert (counts == int(magnitude >= 1)).all()
    assert counts.dtype == jnp.int32
    if magnitude < 1:
        chex.assert_trees_all_close(total, first(grads), rtol=1e-6)


@pytest.mark.parametrize("clip", CLIPS)
def test_of_integers_the_sum_is_not_cut_off(clip):
    grads = jnp.asarray([[3, 4], [0, 1]])
    chex.assert_trees_all_equal(clip(grads, 1.0)[0], clip(grads.astype(float), 1.0)[0])


@pytest.mark.parametrize("clip", CLIPS)
def test_gradients_of_zeros_stay_zero(clip):
    grads = jax.tree.map(jnp.zeros_like, of_examples())
    chex.assert_trees_all_equal(clip(grads, 1.0)[0], first(grads))


@pytest.mark.parametrize("uniform", [True, False])
def test_the_shares_of_all_layers_together_are_the_bound(uniform):
    grads = jax.tree.map(lambda g: 100 * g[:1], of_examples())
    total, _ = gradtx.per_example_layer_norm_clip(grads, 2.0, uniform)
    np.testing.assert_allclose(gradtx.tree.norm(total), 2.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_many_examples_in_low_precision_are_added_in_float32(dtype):
    grads = {"w": jnp.ones((4096, 1), dtype)}
    total, _ = gradtx.per_example_global_norm_clip(grads, 10.0)
    np.testing.assert_array_equal(total["w"], 4096)
    tx = gradtx.differentially_private_aggregate(10.0, 0.0, key=0)
    np.testing.assert_array_equal(tx.update(grads, tx.init(first(grads)))[0]["w"], 1)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.5, "nesterov": True}])
@pytest.mark.parametrize("learning_rate", [0.1, fading])
@pytest.mark.filterwarnings('ignore:"seed" is deprecated')  # which is what Optax's own dpsgd gives to its aggregate
def test_private_descent_moves_as_in_optax(learning_rate, options):
    grads, params = of_examples(jnp.float64), first(of_examples(jnp.float64))

    def run(tx):
        state, path = tx.init(params), []
        for step in range(20):
            u, state = tx.update(jax.tree.map(lambda g, s=step: jnp.cos(g + s), grads), state, params)
            path.append(u)
        return path, trajectories.fields(jax.tree.map(jnp.asarray, gradtx.tree.unwrap_random_key_data(state)))

    path, fields = run(gradtx.dpsgd(learning_rate, 1.0, 0.5, 7, **options))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        their_path, their_fields = run(optax.contrib.dpsgd(learning_rate, 1.0, 0.5, 7, **options))
    chex.assert_trees_all_close(path, their_path, rtol=1e-11)
    assert fields == their_fields


def test_the_noise_has_its_deviation_and_is_new_in_every_leaf_and_step():
    grads = {name: jnp.zeros((2, 10_000)) for name in "ab"}
    tx = gradtx.differentially_private_aggregate(3.0, 0.5, key=jax.random.key(1))
    one, state = tx.update(grads, tx.init(first(grads)))
    two, _ = tx.update(grads, state)
    noises = jnp.stack([*one.values(), *two.values()])
    np.testing.assert_allclose(noises.std(1), 3.0 * 0.5 / 2, rtol=0.03)
    np.testing.assert_allclose(jnp.corrcoef(noises), jnp.eye(4), atol=0.04)


def test_a_key_may_be_a_number_a_seed_or_a_key():
    grads = of_examples()
    makers = [gradtx.dpsgd(0.1, 1.0, 1.0, key) for key in (3, jax.random.key(3))] + [gradtx.dpsgd(0.1, 1.0, 1.0, seed=3)]
    updates = [tx.update(grads, tx.init(first(grads)), first(grads))[0] for tx in makers]
    chex.assert_trees_all_close(*updates, rtol=1e-6)


def test_whoever_gives_no_key_or_two_is_told():
    for key, message in ((None, " needs a key for its random numbers"), (1, ": seed is another word for key")):
        with pytest.raises(ValueError, match=f"differentially_private_aggregate{message}"):
            gradtx.dpsgd(0.1, 1.0, 1.0, key, seed=key)


@pytest.mark.parametrize("shapes", [[(5, 2), (4, 2)], [()]], ids=["two sizes", "a scalar"])
def test_gradients_that_are_not_of_single_examples_are_refused(shapes):
    grads = [jnp.ones(shape) for shape in shapes]
    tx = gradtx.differentially_private_aggregate(1.0, 1.0, key=0)
    state = tx.init(jax.tree.map(jnp.ones_like, grads))
    message = r"must have a leading axis of one size for the examples, got shapes \("
    with pytest.raises(ValueError, match=f"differentially_private_aggregate: all gradients {message}"):
        tx.update(grads, state)
    for clip in CLIPS:
        with pytest.raises(ValueError, match=f"{clip.__name__}: all gradients {message}"):
            clip(grads, 1.0)


def test_a_batch_of_no_examples_is_refused():
    tx, grads = gradtx.differentially_private_aggregate(1.0, 1.0, key=0), of_examples(examples=0)
    with pytest.raises(ValueError, match="differentially_private_aggregate: a batch needs one example at least"):
        tx.update(grads, tx.init({"w": jnp.ones((3, 2)), "b": jnp.ones(4)}))


def test_holes_stay_holes():
    grads = {**of_examples(), "none": None, "masked": gradtx.MaskedNode()}
    tx = gradtx.differentially_private_aggregate(1.0, 1.0, key=0)
    u, _ = tx.update(grads, tx.init(first(grads)))
    chex.assert_trees_all_equal_shapes(u, first(grads))


def test_update_is_traced_once_and_scans():
    grads = of_examples()
    tx = gradtx.dpsgd(0.1, 1.0, 1.0, key=0, momentum=0.9)
    update = jax.jit(chex.assert_max_traces(tx.update, n=1))
    state = tx.init(first(grads))
    for _ in range(3):
        _, state = update(grads, state)
    _, scanned = jax.lax.scan(lambda s, g: tx.update(g, s)[::-1], state, jax.tree.map(lambda g: g[None], grads))
    chex.assert_trees_all_equal_shapes_and_dtypes(*map(gradtx.tree.unwrap_random_key_data, (state, tx.update(grads, state)[1])))
    assert scanned["w"].shape == (1, 3, 2)


def test_batches_are_accumulated_as_the_docstring_says():
    """Clipped, summed, and made noisy once: the noise of two batches is that of one as large as both."""
    grads, (key, clip, multiplier) = of_examples(), (jax.random.key(0), 1.0, 0.5)
    examples = jax.tree.leaves(grads)[0].shape[0]
    batches = [jax.tree.map(lambda g: g[: examples // 2], grads), jax.tree.map(lambda g: g[examples // 2 :], grads)]
    sums = [gradtx.per_example_global_norm_clip(batch, clip)[0] for batch in batches]
    total = jax.tree.map(lambda *each: sum(each), *sums)
    noise = gradtx.tree.random_like(key, total)
    found = jax.tree.map(lambda g, z: (g + clip * multiplier * z) / examples, total, noise)
    tx = gradtx.differentially_private_aggregate(clip, 0.0, key=0)
    at_once, _ = tx.update(grads, tx.init(first(grads)))
    chex.assert_trees_all_close(
        jax.tree.map(lambda u, z: u - clip * multiplier * z / examples, found, noise), at_once, atol=1e-6
    )
