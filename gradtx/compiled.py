"""Functions that are compiled once, and whose compiled code keeps nothing of the user's alive."""

import functools
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core import OptState, Params, Updates
from gradtx.values import is_plain

# How many programs of one function there are, when it is called with ever other things that are not arrays.
_PROGRAMS = 16
_NUMBERS = (jax.Array, np.ndarray, np.generic, int, float, complex)


def compiled(update: Callable[..., tuple[Updates, OptState]]) -> Callable[..., tuple[Updates, OptState]]:
    """Run an `update` through `jax.jit`, so that calls outside of `jit` do not compile again each time.

    `lax.cond` compiles its branches again wherever it is called with new closures, and a transformation that is rebuilt
    has new rules; both become one compiled function here. Under an outer `jit` nothing changes.

    What is not an array passes beside `jit`: a function among the leaves of the parameters, as Equinox has them, or an extra
    argument such as `value_fn`. It is static, so a new function (a lambda written in the loop) compiles again, and the same one
    does not.
    """

    def run(updates: Updates, state: OptState, rest: tuple[Params | None, dict[str, Any]]):
        params, extra_args = rest
        return update(updates, state, params, **extra_args)

    def run_with_others(static: tuple[Any, ...], updates: Updates, state: OptState, arrays: list[Any]):
        structure, *others = static
        leaves = [other if array is None else array for array, other in zip(arrays, others, strict=True)]
        return run(updates, state, structure.unflatten(leaves))

    run.__name__ = run_with_others.__name__ = update.__qualname__.split(".")[0]  # the name that profilers show
    jitted, jitted_with_others = jax.jit(run), jit_for_each(run_with_others)

    @functools.wraps(update)
    def call(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        leaves, structure = jax.tree.flatten((params, extra_args))
        by_kind = {type(leaf): leaf for leaf in leaves}
        others = {kind for kind, leaf in by_kind.items() if not _is_number(leaf)}
        if not others:
            return jitted(updates, state, (params, extra_args))
        arrays = [None if type(leaf) in others else leaf for leaf in leaves]
        static = (structure, *(leaf if type(leaf) in others else None for leaf in leaves))
        return jitted_with_others(static, updates, state, arrays)

    return call


def jit_for_each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function(static, *args)` once for each tuple of things that are not arrays, which it does not keep alive.

    `jax.jit` keeps its static arguments, and all that they capture, as long as it lives itself: of functions written in a loop
    over batches, every batch. Here a program goes with the first of the things that it was made for, and the oldest when there
    are many. Numbers, words, and values made of them alone are compared by what they are, and may be held.
    """
    name, programs = function.__name__, _Programs()

    def call(static: tuple[Any, ...], *args: Any) -> Any:
        key = tuple(map(_reference, static))
        program = programs.by_key.get(key)
        if program is None:
            program = new_program(static)
        return program(*args)

    def new_program(static: tuple[Any, ...]) -> Callable[..., Any]:
        # Neither the program nor the key may refer to what the key refers to weakly.
        key = tuple(_reference(thing, lambda _: programs.by_key.pop(key, None)) for thing in static)
        hash(key)  # remembered by the references, as nothing can be hashed when it has gone

        def program(*args: Any) -> Any:
            return function(tuple(reference() for reference in key), *args)

        program.__name__ = name
        while len(programs.by_key) >= _PROGRAMS:
            programs.by_key.pop(next(iter(programs.by_key)), None)
        programs.by_key[key] = jitted = jax.jit(program)
        return jitted

    return call


def keep_dtypes(new: Any, old: Any) -> Any:
    """Return the tree `new` with the dtypes of `old`.

    Transformations from other libraries may change the dtypes of their state, which a condition and a loop refuse.
    """
    return jax.tree.map(_cast_like, new, old)


def run_if(condition: Any, run: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Return what `run()` returns where the condition holds, in the dtypes of `otherwise()`, and that elsewhere.

    Only one of the two runs. Under `vmap` both do, and a choice is made for each member.
    """
    return jax.lax.cond(condition, lambda: keep_dtypes(run(), jax.eval_shape(otherwise)), otherwise)


def _cast_like(new: Any, old: Any) -> jax.Array:
    new, dtype = jnp.asarray(new), jnp.result_type(old)
    return new if new.dtype == dtype else new.astype(dtype)


def _is_number(leaf: Any) -> bool:
    """Numbers are traced; a flag chooses code, so it is not."""
    return isinstance(leaf, _NUMBERS) and not isinstance(leaf, bool)


class _Programs:
    """Programs by what they were made for; no bare dict, as some libraries take for trees what closures hold."""

    def __init__(self):
        self.by_key: dict[Hashable, Callable[..., Any]] = {}


# --- references ---------------------------------------------------------------------------------------------------------


class _Exactly:
    """What has nothing in it that should go, by its value and type: 1, 1.0 and True are told apart."""

    def __init__(self, thing: Any):
        self.thing = thing
        self.key = type(thing), repr(thing) if isinstance(thing, float | complex) else thing

    def __call__(self) -> Any:
        return self.thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Exactly) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class _Method(weakref.WeakMethod):
    """A bound method, which Python makes again at each access, as long as its object is there; hashed as a method is."""

    def __hash__(self) -> int:
        if not hasattr(self, "_hashed"):
            self._hashed = hash(self())
        return self._hashed


def _reference(thing: Any, when_gone: Callable[[Any], Any] | None = None) -> Callable[[], Any]:
    """A function that returns a thing as long as it is alive; two of equal things are equal."""
    if isinstance(thing, types.MethodType):
        return _Method(thing, when_gone)
    if not is_plain(thing):
        try:
            return weakref.ref(thing, when_gone)
        except TypeError:  # such as a description of a tree
            pass
    return _Exactly(thing)
