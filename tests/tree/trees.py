"""Random trees for hypothesis."""

import jax.numpy as jnp
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from gradtx.tree import MaskedNode

properties = settings(deadline=None, derandomize=True, max_examples=25)
"""How properties are tested: the first example of a dtype compiles, and any two runs see the same examples."""

SHAPES = [(), (0,), (3,), (2, 1, 3)]  # few: each is compiled for
DTYPES = (jnp.float16, jnp.bfloat16, jnp.float32, jnp.complex64)


@st.composite
def arrays(draw, dtypes=DTYPES, magnitude=1.0):
    """An array of normal numbers times `magnitude`."""
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(dtypes))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = generator.normal(size=shape) * magnitude
    if jnp.issubdtype(dtype, jnp.complexfloating):
        numbers = numbers + 1j * generator.normal(size=shape) * magnitude
    return jnp.asarray(numbers).astype(dtype)


def trees(dtypes=DTYPES, magnitude=1.0):
    """A tree of arrays and holes, in dicts, tuples and lists; it may be empty, or one array."""
    leaves = st.one_of(arrays(dtypes, magnitude), arrays(dtypes, magnitude), st.sampled_from([None, MaskedNode()]))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
        ),
        max_leaves=6,
    )
