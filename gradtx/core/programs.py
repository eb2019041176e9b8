"""Updates outside of `jit`: each runs as one compiled program, which equal optimizers share.

Operation by operation, an update reads and writes the parameters some thirty times; compiled as a whole, once.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

import jax
from jax.core import Tracer

from gradtx.core.description import Run
from gradtx.core.protocol import OptState, Params, Updates
from gradtx.recipe import Keyed, Recipe, Value

_PLAIN = (bool, int, float, complex, str, type)
_IDLE = frozenset({"chain", "identity", "named_chain"})  # what computes nothing by itself


def program_of(recipe: Recipe | None, update: Callable[..., tuple[Updates, OptState]]) -> Run | None:
    """Return `update` as a compiled program; None if it cannot be one.

    It can if code of gradtx alone runs, on nothing but numbers, words and flags: a function of the user's may ask for the value
    of an array, print, or count its calls.

    Args:
      recipe: how the transformation was made.
      update: its update, which is compiled if no equal transformation was before.
    """
    if recipe is None:
        return None
    if "program" not in vars(recipe):  # kept there, as to look for it takes longer than a small update
        vars(recipe)["program"] = _compiled(Keyed(update, recipe), recipe.name) if _is_own(recipe) else None
    return vars(recipe)["program"]


def are_arrays(trees: Any) -> bool:
    """Return whether all leaves are arrays that have values, and can be the arguments of one program."""
    leaves = jax.tree.leaves(trees)
    kinds = {type(leaf) for leaf in leaves}
    if not kinds or not all(issubclass(kind, jax.Array) and not issubclass(kind, Tracer) for kind in kinds):
        return False
    # Leaves of one model may be on different devices, where no program can take them all.
    return jax.device_count() == 1 or len({frozenset(leaf.devices()) for leaf in leaves if leaf.committed}) <= 1


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Passed:
    """Stands in the result of a program for an array that it was given, of which a program would return a copy."""

    index: int


@functools.lru_cache(maxsize=32)
def _compiled(keyed: Keyed, name: str) -> Run:
    update = keyed.thing

    def run(updates: Updates, state: OptState, params: Params | None, extra_args: dict[str, Any]):
        given = {id(leaf): k for k, leaf in enumerate(jax.tree.leaves((updates, state, params)))}
        results = update(updates, state, params, **extra_args)
        return jax.tree.map(lambda x: _Passed(given[id(x)]) if id(x) in given else x, results)

    run.__name__ = name  # which profilers show
    jitted = jax.jit(run)

    def program(updates, state, params, extra_args, /):
        results = jitted(updates, state, params, extra_args)
        given = jax.tree.leaves((updates, state, params))
        return jax.tree.map(lambda x: given[x.index] if _is_passed(x) else x, results, is_leaf=_is_passed)

    return program


def _is_passed(node: Any) -> bool:
    return type(node) is _Passed


def _is_own(recipe: Recipe) -> bool:
    try:
        calls = list(_calls(recipe))
    except ValueError:  # the keys of a dict have no order
        return False
    return all(map(_is_call_of_gradtx, calls)) and any(call.name not in _IDLE for call in calls)


def _is_call_of_gradtx(call: Recipe) -> bool:
    is_of_gradtx = (getattr(call.factory, "__module__", None) or "").startswith("gradtx.")
    return is_of_gradtx and all(_is_remade(leaf) or isinstance(leaf, _PLAIN) for leaf in _leaves(call))


def _is_remade(leaf: Any) -> TypeGuard[Value]:
    return isinstance(leaf, Value) and leaf.recipe is not None


def _calls(recipe: Recipe) -> Iterator[Recipe]:
    """A call, and those that made its arguments."""
    yield recipe
    for leaf in _leaves(recipe):
        if _is_remade(leaf) and leaf.recipe is not None:
            yield from _calls(leaf.recipe)


def _leaves(recipe: Recipe) -> list[Any]:
    return jax.tree.leaves(dict(recipe.arguments), is_leaf=lambda node: isinstance(node, Value))
