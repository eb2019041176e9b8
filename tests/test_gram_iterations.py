"""Newton-Schulz iterations by Gram matrices: those of matrices at least twice as long as wide, in other products."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.linalg import orthogonalize
from gradtx.optimizers.muon_coefficients import coefficients_of


def rows(preset, iterations):
    return np.broadcast_to(coefficients_of(preset, iterations), (iterations, 3))


def plain(x, coefficients):
    """The iterations in NumPy, in float64, as they are written in papers."""
    x = np.asarray(x)
    x = x / np.linalg.norm(x, axis=(-2, -1), keepdims=True)
    for a, b, c in coefficients:
        gram = x @ np.conj(np.swapaxes(x, -2, -1))
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def ill_conditioned(shape, condition):
    left, values, right = np.linalg.svd(np.random.default_rng(0).normal(size=shape), full_matrices=False)
    return left * np.logspace(-np.log10(condition), 0, len(values)) @ right


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("preset", ["standard", "dion", "polar_express"])
@pytest.mark.parametrize("iterations", [1, 2, 3, 4, 5, 6, 9])
def test_they_are_the_plain_iterations(preset, iterations):
    coefficients = rows(preset, iterations)
    for condition in (1e1, 1e6):
        x = ill_conditioned((16, 48), condition)
        expected = plain(x, coefficients)
        for given, wanted in ((x, expected), (x.T, expected.T)):
            actual = orthogonalize(jnp.asarray(given), jnp.asarray(coefficients), eps=0.0)
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-10 * np.max(np.abs(wanted)))


@pytest.mark.usefixtures("x64")
def test_batches_and_complex_matrices_are_iterated_so_and_differentiated():
    random = np.random.default_rng(0)
    coefficients = rows("standard", 5)
    x = random.normal(size=(3, 4, 9)) + 1j * random.normal(size=(3, 4, 9))
    f = lambda x: orthogonalize(x, jnp.asarray(coefficients), eps=0.0)  # noqa: E731
    with jax.numpy_dtype_promotion("standard"):  # as rules on leaves have it
        np.testing.assert_allclose(f(jnp.asarray(x)), plain(x, coefficients), rtol=0, atol=1e-12)
    x, v = random.normal(size=(2, 4, 9))
    slope = (plain(x + 1e-6 * v, coefficients) - plain(x - 1e-6 * v, coefficients)) / 2e-6
    np.testing.assert_allclose(jax.jvp(f, (jnp.asarray(x),), (jnp.asarray(v),))[1], slope, rtol=0, atol=1e-7)


@pytest.mark.parametrize("preset", ["standard", "polar_express"])
def test_float32_is_nearly_as_exact_as_the_plain_form(preset):
    coefficients = rows(preset, 8)
    for condition in (1e1, 1e3):
        x = ill_conditioned((64, 256), condition)
        actual = orthogonalize(jnp.asarray(x, jnp.float32), jnp.asarray(coefficients, jnp.float32))
        np.testing.assert_allclose(actual, plain(x, coefficients), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "dtype", "iterations", "used"),
    [
        ((8, 16), jnp.float32, 5, True),
        ((16, 8), jnp.float32, 5, True),
        ((8, 15), jnp.float32, 5, False),
        ((8, 16), jnp.bfloat16, 5, False),
        ((8, 16), jnp.float16, 5, False),
        ((8, 16), jnp.float32, 1, False),
    ],
)
def test_they_are_used_where_they_are_cheaper_and_exact(shape, dtype, iterations, used):
    def products(shape, dtype):
        function = jax.jit(lambda x: orthogonalize(x, jnp.asarray(rows("standard", iterations), jnp.float32)))
        return function.lower(jax.ShapeDtypeStruct(shape, dtype)).as_text().count("stablehlo.dot_general")

    # Plain iterations are a loop of three products; five by Grams are two blocks, of two iterations and of three.
    assert products(shape, dtype) == (7 + 11 if used else 3)


def test_zero_low_rank_and_tiny_matrices_stay_finite():
    coefficients = jnp.asarray(rows("polar_express", 12), jnp.float32)
    ones = jnp.ones((8, 32))
    for x in (0 * ones, ones, 1e-30 * ones, 1e30 * ones):
        chex.assert_tree_all_finite(orthogonalize(x, coefficients))
