"""Compare trees, and say by path where they differ."""

from typing import Any

import chex
import jax
import jax.numpy as jnp


def by_path(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by their paths."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def type_of(leaf: Any) -> str:
    """Return shape, dtype and weak type, which together decide whether a step is traced again."""
    aval = leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jax.typeof(leaf)
    return f"{'weak ' if aval.weak_type else ''}{aval.dtype}[{','.join(map(str, aval.shape))}]"


def assert_same_types(actual: Any, expected: Any, what: str) -> None:
    """Raise unless two trees have the same structure, and their leaves the same shapes, dtypes and weak types."""
    one, two = jax.tree.structure(actual), jax.tree.structure(expected)
    assert one == two, f"{what} has the structure {one}, expected {two}"
    wanted = {path: type_of(leaf) for path, leaf in by_path(expected).items()}
    wrong = [
        f"{what}{path} is {type_of(leaf)}, expected {wanted[path]}"
        for path, leaf in by_path(actual).items()
        if type_of(leaf) != wanted[path]
    ]
    assert not wrong, wrong[0] + (f" (and {len(wrong) - 1} more leaves)" if len(wrong) > 1 else "")


def assert_same_values(actual: Any, expected: Any, what: str) -> None:
    """Raise unless two trees have the same types, and values that differ by rounding at most."""
    assert_same_types(actual, expected, what)
    try:
        chex.assert_trees_all_close(_comparable(actual), _comparable(expected), rtol=1e-4, atol=1e-6)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


def assert_finite(tree: Any, what: str) -> None:
    """Raise unless every number in the floating-point leaves of a tree is finite."""
    for path, leaf in by_path(tree).items():
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and not jnp.isfinite(leaf).all():
            kind = "NaN" if jnp.isnan(leaf).any() else "infinite numbers"
            raise AssertionError(f"{what}{path} has {kind}")


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of typed random keys, which NumPy does not know."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _comparable(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)
