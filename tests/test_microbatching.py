"""A batch in parts gives what the whole batch does, and what Optax's functions of these names do."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradtx import microbatching
from gradtx.microbatching import AccumulationType, micro_grad, micro_vmap, microbatch, reshape_batch_axis

X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)), jnp.float32)
KINDS = [kind.name for kind in AccumulationType]


def in_both(run):
    """Compare what `run(library)` returns."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = run(optax.microbatching)
    chex.assert_trees_all_close(run(microbatching), expected, rtol=1e-5, atol=1e-6)


def loss(p, x, y):
    return jnp.sum((x * p - y) ** 2), {"sum": x.sum()}


@pytest.mark.parametrize("real", [None, 2])
@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_microbatch_is_optaxs(kind, size, real):
    def fun(x, scale, *, more):
        return {"rows": x * scale} if kind == "CONCAT" else {"sum": scale * x.sum(0), "more": more["z"].sum()}

    def run(library):
        accumulator = library.AccumulationType[kind]
        # Optax runs padding, too, where there are fewer parts than asked for.
        wanted = None if real is None else min(real, 6 // size)
        options = {"argnames": "more", "num_real_microbatches": wanted, "in_axes": [0, 0]}
        run = library.microbatch(fun, 0, size, accumulator, **options)
        return run(X, 2.0, more={"z": X}), jax.jit(lambda x: run(x, 2.0, more={"z": x}))(X)

    in_both(run)


@pytest.mark.parametrize("size", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_micro_vmap_is_optaxs(kind, size):
    def run(library):
        options = {"microbatch_size": size, "accumulator": library.AccumulationType[kind]}
        return library.micro_vmap(lambda x, w: {"a": x * w, "b": x}, (0, None), **options)(X, 3.0)

    in_both(run)


@pytest.mark.parametrize("size", [None, 2])
@pytest.mark.parametrize("keep_batch_dim", [True, False])
def test_micro_grad_is_optaxs(keep_batch_dim, size):
    def run(library):
        run = library.micro_grad(
            loss,
            has_aux=True,
            batch_argnums=(1, 2),
            keep_batch_dim=keep_batch_dim,
            microbatch_size=size,
            accumulator=library.AccumulationType.MEAN,
            transform_fn=lambda g: {"g": g, "square": g**2},
            metrics_fn=jnp.abs,
        )
        gradients, aux = run(jnp.asarray(2.0), X[:, 0], X[:, 1])
        return gradients, tuple(aux)

    in_both(run)


def test_accumulators_may_be_mixed_and_of_ones_own():
    greatest = microbatching.Accumulator(
        init=lambda part: jax.tree.map(lambda x: jnp.full(x.shape, -jnp.inf, x.dtype), part),
        update=lambda carry, part, index: jax.tree.map(jnp.maximum, carry, part),
        finalize=lambda carry: carry,
        aggregate=lambda results: jax.tree.map(lambda x: x.max(axis=0), results),
    )
    kinds = {"all": AccumulationType.CONCAT, "max": greatest, "both": AccumulationType.SUM}
    fun = micro_vmap(lambda x: {"all": x, "max": x, "both": (x, x**2)}, microbatch_size=2, accumulator=kinds)
    expected = {"all": X, "max": X.max(0), "both": (X.sum(0), (X**2).sum(0))}
    chex.assert_trees_all_close(fun(X), expected, rtol=1e-6)


def test_a_part_takes_every_nth_example():
    parts = reshape_batch_axis({"x": jnp.arange(6), "y": jnp.arange(12).reshape(2, 6)}, 2, axis=-1)
    np.testing.assert_array_equal(parts["x"], [[0, 3], [1, 4], [2, 5]])
    assert parts["y"].shape == (2, 3, 2)


def test_a_sum_of_half_precision_is_kept_in_float32():
    ones = jnp.ones(4096, jnp.bfloat16)
    total = microbatch(lambda x: x.sum(), 0, 1)(ones)
    assert total.dtype == jnp.bfloat16
    assert total == 4096


def test_a_loop_can_be_differentiated():
    fun = microbatch(lambda p, x: jnp.sum(jnp.sin(p * x)), 1, 2)
    chex.assert_trees_all_close(jax.grad(fun)(0.5, X), jnp.sum(X * jnp.cos(0.5 * X)), rtol=1e-5)


def test_the_number_of_real_parts_may_be_traced():
    fun = jax.jit(lambda n: microbatch(lambda x: x.sum(0), 0, 2, num_real_microbatches=n)(X))
    chex.assert_trees_all_close(fun(3), X.sum(0), rtol=1e-5)
    chex.assert_trees_all_close(fun(99), X.sum(0), rtol=1e-5)
    chex.assert_trees_all_close(fun(0), jnp.zeros(2))


def test_memory_is_that_of_one_part():
    weights = jnp.ones((64, 1024))

    def temporaries(size):
        run = microbatch(lambda x: jnp.tanh(x @ weights).T @ x, 0, size)
        analysis = jax.jit(run).lower(jnp.ones((1024, 64))).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert temporaries(None) >= 4 * 1024 * 1024
    assert temporaries(32) < temporaries(None) / 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: microbatch(jnp.sum, 0, 4)(X), "the batch of 6 is not divisible by the microbatch_size 4"),
        (lambda: microbatch(lambda x, y: x, (0, 1), 2)(X, X[:4]), "all batch axes must have one size, got 4, 6"),
        (
            lambda: microbatch(jnp.sum, 0, 2, AccumulationType.MEAN)(jnp.arange(6)),
            "MEAN needs floating-point results, got int32",
        ),
        (lambda: reshape_batch_axis(X, 0), "the microbatch_size 0"),
    ],
)
def test_what_cannot_be_split_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_batch_that_is_not_an_argument_is_refused():
    def fun(x, weight=1.0, *, mask=None):
        return jnp.sum(x * weight)

    anything = microbatch(lambda *args, **kwargs: args[1].sum(), 1, 2, argnames="more")
    optional = microbatch(fun, 1, 2)
    for call, message in (
        (lambda: microbatch(fun, 5, 2), "argnums has 5, but the function takes 2 by position"),
        (lambda: microbatch(fun, (0, -3), 2), "argnums has -3, but the function takes 2 by position"),
        (lambda: microbatch(fun, 5, None), "argnums has 5, but the function takes 2"),
        (lambda: microbatch(fun, 0, 2, argnames="msak"), "argnames has 'msak', which the function does not take; did .*'mask'"),
        (
            lambda: microbatch(fun, 0, 2, argnames="qqqq"),
            "argnames has 'qqqq', which .* not take; it takes x, weight, mask",
        ),
        (lambda: anything(X, more=X), "argnums has 1, but the call gives 1 by position"),
        (lambda: anything(X, X), "argnames has 'more', but the call does not give it as a keyword argument"),
        (lambda: optional(X), "argnums has 1, but the call gives 1 by position"),
        (lambda: micro_grad(loss, batch_argnums=5)(1.0, X, X), "batch_argnums has 5, but the function takes 3"),
        (lambda: micro_grad(lambda *args: args[0], batch_argnums=5)(1.0, X), "batch_argnums has 5, but the call gives 2"),
    ):
        with pytest.raises(ValueError, match=f"^(microbatch|micro_grad): {message}"):
            call()
    chex.assert_trees_all_close(optional(2.0, X), 2 * jnp.sum(X), rtol=1e-5)
    chex.assert_trees_all_close(microbatch(fun, -2, 2)(X, 2.0), 2 * jnp.sum(X), rtol=1e-5)
    chex.assert_trees_all_close(anything(X, X, more=X), X.sum(), rtol=1e-5)
    assert microbatch(np.add, (0, 1), None) is np.add  # does not say what it takes


def test_arguments_by_keyword_have_the_axis_of_the_examples():
    def fun(x, *, more):
        return jnp.sum(x * more["z"])

    chex.assert_trees_all_close(micro_vmap(fun, microbatch_size=2)(X, more={"z": X}), jnp.sum(X * X, axis=1))


def test_another_output_axis_is_refused():
    with pytest.raises(NotImplementedError, match="out_axes must be 0, got 1"):
        micro_vmap(jnp.sin, out_axes=1)


def test_gradients_of_two_arguments_are_returned():
    gradients, aux = micro_grad(lambda p, q, x: (p * q * x).sum(), argnums=(0, 1), batch_argnums=2)(1.0, 2.0, X)
    chex.assert_trees_all_close(gradients, (2 * X.sum(), X.sum()), rtol=1e-5)
    assert aux.metrics is None
