"""Second derivatives equal those of the whole Hessian."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gradtx import second_order

# In float32 four digits would be left of the slope of a tanh that is nearly 1.
pytestmark = pytest.mark.usefixtures("x64")

PARAMS = {"b": np.asarray(0.5), "w": np.asarray([1.0, -2.0, 0.3])}
INPUTS = np.asarray([[1.0, 2.0, -1.0], [0.5, 0.0, 2.0]])
TARGETS = np.asarray([1.0, -1.0])


def loss(params, inputs, targets):
    return jnp.sum(jnp.tanh(inputs @ params["w"] + params["b"] - targets) ** 2)


@pytest.fixture
def hessian():
    flat, unravel = ravel_pytree(PARAMS)
    return jax.hessian(lambda flat: loss(unravel(flat), INPUTS, TARGETS))(flat)


@pytest.mark.parametrize("as_tree", [False, True])
def test_a_product_with_the_hessian_is_that_of_the_matrix(hessian, as_tree):
    flat, unravel = ravel_pytree(PARAMS)
    v = jnp.arange(1, flat.size + 1, dtype=flat.dtype)
    product = second_order.hvp(loss, unravel(v) if as_tree else v, PARAMS, INPUTS, TARGETS)
    chex.assert_trees_all_close(product, unravel(hessian @ v), rtol=1e-12)


def test_the_diagonal_is_that_of_the_matrix(hessian):
    diagonal = jax.jit(second_order.hessian_diag, static_argnums=0)(loss, PARAMS, INPUTS, TARGETS)
    chex.assert_trees_all_close(diagonal, jnp.diag(hessian), rtol=1e-12)


def test_the_fisher_information_is_the_square_of_the_gradient():
    gradient = ravel_pytree(jax.grad(loss)(PARAMS, INPUTS, TARGETS))[0]
    chex.assert_trees_all_close(second_order.fisher_diag(loss, PARAMS, INPUTS, TARGETS), gradient**2, rtol=1e-12)
