"""Values: transformations that remember how they were made, so that they can be compared, hashed, pickled and printed.

A transformation is a pair of closures, and closures compare by identity. Two calls `adam(1e-3)` would be two different
static arguments of `jax.jit`, and neither could be pickled. A value that remembers its factory and arguments has none of
these troubles.
"""

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

_F = TypeVar("_F", bound=Callable[..., Any])
_FACTORIES: weakref.WeakSet[Any] = weakref.WeakSet()


# What may be compared by what it is, and kept: nothing of a user's is in it.
WORDS = (bool, int, float, complex, str, bytes, type, types.NoneType)


def mark_factory(function: _F) -> _F:
    """Remember that a function makes values with a recipe."""
    _FACTORIES.add(function)
    return function


def is_factory(thing: Any) -> bool:
    """Return whether something is a function that makes values with a recipe."""
    return inspect.isfunction(thing) and thing in _FACTORIES


def without_number(word: Any) -> Any:
    """Return the type of a number, and of anything else the thing itself: what is the same where numbers alone differ."""
    return type(word) if isinstance(word, int | float | complex) else word


def is_own(function: Any) -> bool:
    """Return whether a function is one of gradtx."""
    return (getattr(function, "__module__", None) or "").startswith("gradtx.")


class Keyed:
    """A thing that equals another one of the same key: what a cache is asked with, which is to find the first of them."""

    def __init__(self, thing: Any, key: Hashable):
        self.thing: Any = thing
        self.key: Hashable = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyed) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@jax.tree_util.register_pytree_node_class
class Recipe:
    """A factory and the arguments it was called with: a tree of these, with recipes instead of what they have made."""

    def __init__(self, factory: Callable[..., Any], bound: inspect.BoundArguments):
        self.factory = factory
        self._bound = bound
        self._key: Hashable = None

    # Made on first use, as all below: most transformations are built and never compared or printed.
    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments of the call."""
        return self._bound.args

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its keyword arguments."""
        return self._bound.kwargs

    @functools.cached_property
    def arguments(self) -> Mapping[str, Any]:
        """All arguments by name, with the defaults of those that were not given."""
        whole = inspect.BoundArguments(self._bound.signature, self._bound.arguments.copy())
        whole.apply_defaults()
        return whole.arguments

    @classmethod
    def of(cls, factory: Callable[..., Any], **arguments: Any) -> "Recipe":
        """Return the recipe of the call `factory(**arguments)`; arguments that are their default are left out of its `repr`."""
        signature = inspect.signature(factory)
        chosen = {name: arg for name, arg in arguments.items() if arg is not signature.parameters[name].default}
        return cls(factory, signature.bind(**chosen))

    @property
    def signature(self) -> inspect.Signature:
        """That of the factory."""
        return self._bound.signature

    @property
    def name(self) -> str:
        return self.factory.__name__

    def calls(self) -> Iterator["Recipe"]:
        """Yield this call, and those that made its arguments."""
        yield self
        for leaf in self._leaves():
            if _has_recipe(leaf):
                yield from leaf.recipe.calls()

    def is_plain(self) -> bool:
        """Return whether all that it was called with is numbers and words, or made of them alone, as `adam(0.1)` is."""
        try:
            return all(map(is_plain, self._leaves()))
        except ValueError:  # the keys of a dict have no order, so that it is not a tree
            return False

    def _leaves(self) -> list[Any]:
        return jax.tree.leaves(dict(self.arguments), is_leaf=_has_recipe)

    def made(self) -> Any:
        """Return what the call makes; again, so that the arguments may be others in the meantime, or traced."""
        bound = inspect.BoundArguments(self.signature, _made_again(dict(self._bound.arguments)))
        return self.factory(*bound.args, **bound.kwargs)

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[Keyed, tuple[str, ...]]]:
        """As a tree of JAX: the arguments, and what is the same in all calls of the factory."""
        arguments = self._bound.arguments
        return tuple(map(_recipes_in, arguments.values())), (Keyed(self.signature, self.factory), tuple(arguments))

    @classmethod
    def tree_unflatten(cls, call: tuple[Keyed, tuple[str, ...]], arguments: tuple[Any, ...]) -> "Recipe":
        """The recipe of other arguments, whatever they are."""
        factory, names = call
        bound = inspect.BoundArguments(factory.thing, dict(zip(names, arguments, strict=True)))
        return cls(cast("Callable[..., Any]", factory.key), bound)

    def key(self) -> Hashable:
        """The factory with its arguments in a form that compares by value; made on first use."""
        if self._key is None:
            self._key = (self.factory, tuple((name, _frozen(value)) for name, value in self.arguments.items()))
        return self._key

    def kind(self) -> Hashable:
        """What it shares with calls that differ from it in numbers alone, if all that it was called with is plain."""
        leaves, structure = jax.tree.flatten(self)
        return structure, tuple(map(without_number, leaves))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        words = [shown(arg) for arg in self.args]
        words += [f"{name}={shown(arg)}" for name, arg in self.kwargs.items()]
        return f"{self.name}({', '.join(words)})"


class Value:
    """Mix-in: what carries a recipe is compared, hashed, pickled and printed by it."""

    recipe: Recipe | None = None

    def __eq__(self, other: object) -> bool:
        if self.recipe is None:
            return super().__eq__(other)
        return isinstance(other, Value) and self.recipe == other.recipe

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__() if self.recipe is None else hash(self.recipe)

    def __repr__(self) -> str:
        return super().__repr__() if self.recipe is None else repr(self.recipe)

    def __reduce__(self) -> Any:
        if self.recipe is None:
            return super().__reduce__()
        return _remake, (self.recipe.factory, self.recipe.args, self.recipe.kwargs)


def _remake(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return factory(*args, **kwargs)


def _recipes_in(argument: Any) -> Any:
    """An argument with recipes instead of what factories have made."""
    return jax.tree.map(lambda leaf: leaf.recipe if _has_recipe(leaf) else leaf, argument, is_leaf=_has_recipe)


def _made_again(argument: Any) -> Any:
    """An argument with what its recipes make."""
    return jax.tree.map(lambda leaf: leaf.made() if _is_recipe(leaf) else leaf, argument, is_leaf=_is_recipe)


def _is_recipe(node: Any) -> bool:
    return isinstance(node, Recipe)


def _frozen(argument: Any) -> Hashable:
    """A hashable stand-in: trees by structure and leaves, arrays by content, everything else as it compares itself."""
    leaves, structure = jax.tree.flatten(argument, is_leaf=_has_recipe)
    return structure, tuple(_frozen_leaf(leaf) for leaf in leaves)


def _frozen_leaf(leaf: Any) -> Hashable:
    if isinstance(leaf, Tracer):
        return "tracer", id(leaf)
    if isinstance(leaf, jax.Array) and _is_key(leaf):
        return str(leaf.dtype), leaf.shape, np.asarray(jax.random.key_data(leaf)).tobytes()
    if isinstance(leaf, jax.Array | np.ndarray | np.generic):
        array = np.asarray(leaf)
        return str(array.dtype), array.shape, array.tobytes()
    if isinstance(leaf, float | complex):
        return type(leaf), repr(leaf)  # tells -0.0 from 0.0, and knows nan again
    try:
        hash(leaf)
    except TypeError:
        return type(leaf), id(leaf)
    return type(leaf), leaf  # the type tells 1, 1.0 and True apart, which trace differently


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


class _Shown:
    """Prints a leaf of an argument: a function by its name (no addresses), a large array by its type, all else as it does."""

    def __init__(self, leaf: Any):
        self.leaf = leaf

    def __repr__(self) -> str:
        leaf = self.leaf
        if isinstance(leaf, jax.Array | np.ndarray) and (leaf.ndim or _is_key(leaf)):
            return f"{leaf.dtype}{list(leaf.shape)}"
        if callable(leaf) and not isinstance(leaf, Value):
            return getattr(leaf, "__qualname__", type(leaf).__name__)
        return repr(leaf)


def shown(argument: Any) -> str:
    """Return the `repr` of an argument, without addresses and without what is in large arrays."""
    return repr(jax.tree.map(_Shown, argument, is_leaf=_has_recipe))


def is_plain(thing: Any) -> bool:
    """Return whether a thing is a number, a word, or made of them alone, as `adam(0.1)` is."""
    return thing.recipe.is_plain() if _has_recipe(thing) else isinstance(thing, WORDS)


def _has_recipe(node: Any) -> bool:
    return isinstance(node, Value) and node.recipe is not None
