"""Rules on entries, told from those on arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.numerics import safe_sqrt
from gradtx.tree.elementwise import same_on_entries

OF_ENTRIES = {
    "Adam": lambda g, v: g / (safe_sqrt(v) + 1e-8),
    "a choice": lambda g, v: jnp.where(g > 0, v, 0.0),
    "a call": lambda g, v: jax.jit(lambda x: jnp.sign(x) ** 3)(g) + v,
}
OF_ARRAYS = {
    "a sum": lambda g, v: g / jnp.sum(v),
    "an order": lambda g, v: jnp.sort(g) + v,
    "neighbours": lambda g, v: jnp.cumsum(g, axis=-1) + v,
    "places": lambda g, v: g + jax.lax.broadcasted_iota(jnp.float32, g.shape, 0) + v,
    "rows": lambda g, v: g + v[:1],
    "a number of entries": lambda g, v: g / g.size + v,
    "a number of axes": lambda g, v: g if g.ndim > 1 else g + v,
    "the result of a call": lambda g, v: jax.jit(jnp.sum)(g) + v,
    "a constant array": lambda g, v: g + v + jnp.broadcast_to(np.arange(8.0, dtype=np.float32), g.shape),
}


def is_same(rule):
    leaf, chunk = ([jax.ShapeDtypeStruct(shape, jnp.float32)] * 2 for shape in ((4, 8), (8,)))
    return same_on_entries(lambda g, v, decay: rule(g, decay * v), leaf, chunk, {"decay": jnp.float32(0.9)})


@pytest.mark.parametrize("label", OF_ENTRIES)
def test_rules_on_entries_are_known(label):
    assert is_same(OF_ENTRIES[label])


@pytest.mark.parametrize("label", OF_ARRAYS)
def test_rules_on_arrays_are_known(label):
    assert not is_same(OF_ARRAYS[label])
