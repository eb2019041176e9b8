"""What an array takes, from its shape, dtype and sharding."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.sharding import Sharding

from gradtx.core import Params
from gradtx.tree.holes import is_hole
from gradtx.tree.paths import leaves_with_paths


class Parameter(NamedTuple):
    """A parameter without its values."""

    path: str
    shape: tuple[int, ...]
    dtype: Any
    sharding: Sharding | None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What they take."""
        return bytes_of(self.shape, self.dtype)

    @property
    def bytes_per_device(self) -> int:
        """What a device keeps of them."""
        return bytes_of(self.shape, self.dtype, self.sharding)


def parameters_of(params: Params) -> list[Parameter]:
    """Return what is known of each parameter, in the order of the leaves."""
    return [
        Parameter(path, jnp.shape(leaf), dtype_of(leaf), getattr(leaf, "sharding", None))
        for path, leaf in leaves_with_paths(params)
        if not is_hole(leaf)
    ]


def dtype_of(leaf: Any) -> Any:
    """Return the dtype of an array, or that of the array that a number would be."""
    return leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)


def bytes_of(shape: tuple[int, ...], dtype: Any, sharding: Sharding | None = None) -> int:
    """Return the bytes of an array; with a sharding, of the part that one device keeps."""
    return math.prod(shape if sharding is None else sharding.shard_shape(shape)) * dtype.itemsize
