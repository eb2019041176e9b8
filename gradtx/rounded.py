"""Numbers that know what rounding has taken from them, so that 1 − b is right of a decay b that is held as a float32."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.values import is_own


@jax.tree_util.register_pytree_node_class
class Rounded:
    """An array x, rounded from the number x + lost.

    What is computed of it is computed of the array, but `1 - x`, where 13 of 24 bits would be those of 0.999 that are missing.

    Args:
      array: the number as it is stored.
      lost: what is missing, an array of its dtype.
    """

    def __init__(self, array: Any, lost: Any):
        self.array: Any = array
        self.lost: Any = lost

    def __rsub__(self, other: Any) -> Any:
        return (other - self.array) - self.lost

    def __jax_array__(self) -> Any:
        return self.array

    def __getattr__(self, name: str) -> Any:
        return getattr(self.array, name)  # shape, dtype, astype and what else is asked of arrays

    def __repr__(self) -> str:
        return repr(self.array)

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        return (self.array, self.lost), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: tuple[Any, Any]) -> "Rounded":
        del aux
        return cls(*children)


def _of_array(name: str) -> Any:
    function = getattr(operator, name)
    return lambda self, *others: function(self.array, *others)


def _of_other(name: str) -> Any:
    function = getattr(operator, name)
    return lambda self, other: function(other, self.array)


for _name in ("add", "sub", "mul", "truediv", "pow", "neg", "abs", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Rounded, f"__{_name}__", _of_array(f"__{_name}__"))
for _name in ("add", "mul", "truediv", "pow"):
    setattr(Rounded, f"__r{_name}__", _of_other(f"__{_name}__"))
Rounded.__hash__ = object.__hash__


def as_meant(stored: jax.Array, given: Any) -> Any:
    """Return a number from a state; as `Rounded` if it is what a Python number became there that may be a decay.

    Args:
      stored: an array.
      given: what it was when it was stored first.
    """
    if stored.dtype != jnp.float32:
        return stored
    if isinstance(given, float) and 0.5 < given < 1:
        nearest = np.float32(given)
        given = Rounded(nearest, np.float32(given - float(nearest)))
    return Rounded(stored, jnp.where(stored == given.array, given.lost, 0)) if isinstance(given, Rounded) else stored


def given_to(function: Callable[..., Any], numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments for a function: one of others may give them to `jax.lax`, which takes arrays alone."""
    if is_own(function):
        return numbers
    return {name: number.array if isinstance(number, Rounded) else number for name, number in numbers.items()}
