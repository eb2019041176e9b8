"""Updates outside of `jit`: each runs as one compiled program, which equal optimizers share.

Operation by operation, an update reads and writes the parameters some thirty times; compiled as a whole, once.
"""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

import jax
from jax.core import Tracer

from gradtx.caches import LastOfEachKind
from gradtx.core.description import Run
from gradtx.core.protocol import OptState, Params, Transformation, Updates
from gradtx.values import Recipe, is_own

_IDLE = frozenset({"chain", "identity", "named_chain"})  # what computes nothing by itself
_LOOKING = frozenset({"sharded"})  # what asks arrays where they lie, which in a program they do not say


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
        own = _is_own(recipe)
        vars(recipe)["program"] = _shared(recipe, None, lambda: _compiled(update, recipe.name)) if own else None
    return vars(recipe)["program"]


def init_at_once(
    tx: Transformation, finish: Callable[[OptState, Params], OptState], key: Hashable
) -> Callable[[Params], OptState]:
    """Return the `init` of a wrapper, which keeps what `finish` makes of the state of `tx`.

    Outside of `jit` it is one program, if code of gradtx alone runs: array by array, so that the state of `tx` is never there
    as a whole.

    Args:
      tx: what is wrapped.
      finish: a function of its state and the parameters.
      key: what tells it from other such functions; None if that cannot be said: then there is no program.
    """

    def init(params: Params) -> OptState:
        return finish(tx.init(params), params)

    recipe = getattr(tx, "recipe", None)
    if key is None or not isinstance(recipe, Recipe) or not _is_own(recipe):
        return init
    return lambda params: _shared(recipe, key, lambda: jax.jit(init))(params) if are_arrays(params) else init(params)


_programs = LastOfEachKind(kinds=32)


def _shared(recipe: Recipe, key: Hashable, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """Return the program of a recipe, or of an equal one."""
    return _programs.get((recipe.key(), key), (recipe.kind(), key), make)


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
class _Results:
    """What a program returns beside the arrays that it has computed: the structure, and which results it was given.

    Of an array that only passes, a program would return a copy.
    """

    structure: Any
    given: tuple[int | None, ...]  # for each leaf its position among the arguments

    def filled(self, computed: list[jax.Array], arguments: Any) -> Any:
        """Return the results in their structure."""
        if len(computed) < len(self.given):
            new, given = iter(computed), jax.tree.leaves(arguments)
            computed = [next(new) if at is None else given[at] for at in self.given]
        return self.structure.unflatten(computed)


def _compiled(update: Callable[..., tuple[Updates, OptState]], name: str) -> Run:
    def run(updates: Updates, state: OptState, params: Params | None, extra_args: dict[str, Any]):
        arguments = {id(leaf): k for k, leaf in enumerate(jax.tree.leaves((updates, state, params)))}
        leaves, structure = jax.tree.flatten(update(updates, state, params, **extra_args))
        given = tuple(arguments.get(id(leaf)) for leaf in leaves)
        return [leaf for leaf, at in zip(leaves, given, strict=True) if at is None], _Results(structure, given)

    run.__name__ = name  # which profilers show
    jitted = jax.jit(run)

    def program(updates, state, params, extra_args, /):
        computed, results = jitted(updates, state, params, extra_args)
        return results.filled(computed, (updates, state, params))

    return program


def _is_own(recipe: Recipe) -> bool:
    calls = list(recipe.calls()) if recipe.is_plain() else []
    names = {call.name for call in calls}
    return all(is_own(call.factory) for call in calls) and not names <= _IDLE and not names & _LOOKING
