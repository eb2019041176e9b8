"""Laws of shapes and dtypes. They only trace, and compile nothing."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.core import Params, Transformation
from gradtx.testing.compare import assert_same_types, by_path
from gradtx.testing.laws import law
from gradtx.testing.samples import cast, shapes_of

FLOATS = (jnp.float32, jnp.bfloat16, jnp.float16)
# Equal ones, each wider than the other, and two half precisions, which have no common one.
_PAIRS = [
    (jnp.float32, jnp.float32),
    (jnp.bfloat16, jnp.bfloat16),
    (jnp.float32, jnp.bfloat16),
    (jnp.bfloat16, jnp.float32),
    (jnp.float16, jnp.bfloat16),
]
_PAIRS_X64 = [(jnp.float64, jnp.float64), (jnp.float64, jnp.float32), (jnp.float32, jnp.float64)]


@law
def init_needs_only_shapes(tx: Transformation, params: Params) -> None:
    """`init` works on shapes alone: checkpoints are restored, and memory is planned, before any parameter exists."""
    expected = tx.init(params)
    assert_same_types(jax.eval_shape(tx.init, shapes_of(params)), expected, "the state from shapes")


@law
def updates_keep_structure_shape_and_dtype(tx: Transformation, params: Params) -> None:
    """Updates are like the gradients: the next transformation, and `apply_updates`, rely on it."""
    for case, p, g in _pairs(params):
        updates, _ = jax.eval_shape(tx.update, g, jax.eval_shape(tx.init, p), p)
        assert_same_types(updates, g, f"{case}: updates")


@law
def state_keeps_its_type(tx: Transformation, params: Params) -> None:
    """The state has the same type after every update: otherwise a step is traced again, and `scan` and `cond` refuse it."""
    for case, p, g in _pairs(params):
        state = jax.eval_shape(tx.init, p)
        _, new_state = jax.eval_shape(tx.update, g, state, p)
        assert_same_types(new_state, state, f"{case}: state")


@law
def counters_are_int32_scalars(tx: Transformation, params: Params) -> None:
    """A count of steps is an int32 scalar, also under x64: a float stops counting, and checkpoints must fit elsewhere."""
    with jax.enable_x64(True):
        state = jax.eval_shape(tx.init, shapes_of(params))
    for path, leaf in by_path(state).items():
        counts = path.endswith("count") or (jnp.issubdtype(leaf.dtype, jnp.integer) and not leaf.shape)
        if counts:
            assert (leaf.dtype, leaf.shape) == (jnp.int32, ()), f"state{path} is {leaf.dtype}{list(leaf.shape)}, not int32[]"


@law
def strict_dtype_promotion_is_enough(tx: Transformation, params: Params) -> None:
    """Every promotion is written down: whoever trains under strict promotion, to find theirs, can."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        for _, p, g in _pairs(params):
            jax.eval_shape(tx.update, g, jax.eval_shape(tx.init, p), p)


def _pairs(params: Params) -> Iterator[tuple[str, Any, Any]]:
    """Shapes of parameters and gradients in pairs of dtypes; those with float64 under x64."""
    for p, g in _PAIRS:
        yield _pair(params, p, g)
    with jax.enable_x64(True):
        for p, g in _PAIRS_X64:
            yield _pair(params, p, g)


def _pair(params: Params, p: Any, g: Any) -> tuple[str, Any, Any]:
    case = f"{jnp.dtype(p)} params, {jnp.dtype(g)} gradients"
    return case, shapes_of(cast(params, p)), shapes_of(cast(params, g))
