"""`factory`: what makes functions that build transformations factories of values, and gives their arguments a contract."""

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast, overload

import jax

from gradtx import errors, require
from gradtx.core.bystanders import without_bystanders
from gradtx.core.contracts import Contract, bound_arguments
from gradtx.core.description import Description, describe, description
from gradtx.core.extra_args import only, refuse_misspelt
from gradtx.core.programs import are_arrays, program_of
from gradtx.core.protocol import (
    Function,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Schedule,
    Transformation,
    TransformInitFn,
    TransformUpdateExtraArgsFn,
    Updates,
)
from gradtx.core.schedule_function import ScheduleFunction
from gradtx.signatures import Binder, arguments_of
from gradtx.tree import mismatch
from gradtx.tree.divided import as_they_lie
from gradtx.tree.layout import on_mesh_of
from gradtx.values import Recipe, Value, mark_factory

_P = ParamSpec("_P")
_R = TypeVar("_R")
_CALL = "update(updates, state, params)"


@overload
def factory(build: Callable[_P, _R], /) -> Callable[_P, _R]: ...
@overload
def factory(**ranges: require.Range) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
def factory(build: Any = None, /, **ranges: require.Range) -> Any:
    """Make a function that builds a transformation (or a schedule) a factory of values.

    - What it returns remembers the factory and its arguments: it compares, hashes, pickles and prints by them.
    - What is annotated as a number must be one, and a schedule only where the annotation says so.
    - Hyperparameters out of range are refused, by the table in `gradtx.require`; `ranges` overrides it by name.
    - `update` hands on the extra arguments that are read, ignores the others, and refuses misspelt ones by name.
    - `update` says who needs the parameters when they are missing.

    Args:
      build: a function that returns a `GradientTransformation`, or a function of the step, or a `Value` without a recipe.
      **ranges: for an argument of this factory, the numbers it may be.
    """
    if build is None:
        return functools.partial(factory, **ranges)

    @functools.cache  # read at the first call: a program calls few of the factories that it imports
    def terms() -> tuple[Binder, Contract]:
        signature = inspect.signature(build)
        makes = signature.return_annotation
        steerable = isinstance(makes, type) and issubclass(makes, GradientTransformation)
        return Binder(build, signature), Contract(build.__name__, signature, ranges, steerable=steerable)

    @functools.wraps(build)
    def remembering(*args: Any, **kwargs: Any) -> Any:
        binder, contract = terms()
        bound = bound_arguments(binder, args, kwargs)
        contract.keep(bound.arguments)
        recipe = Recipe(remembering, bound)
        with errors.naming(build.__name__):
            made = _as_value(binder.call(bound), build, recipe, contract.wraps)
        made.recipe = recipe
        return made

    return mark_factory(remembering)


def _as_value(made: Any, build: Callable[..., Any], recipe: Recipe, wraps: bool) -> Value:
    """What `build` has made, as something that can be given a recipe and is shared with nobody."""
    if isinstance(made, GradientTransformation):
        return sealed(made, build.__name__, recipe, wraps)
    if type(made) is ScheduleFunction:
        return ScheduleFunction(made.__wrapped__, build, end=made.end)
    if isinstance(made, Value) and made.recipe is None:
        return made
    kind = ScheduleFunction if recipe.signature.return_annotation is Schedule else Function
    return kind(cast("Schedule", made), build)


def sealed(tx: Transformation, name: str, recipe: Recipe | None = None, wraps: bool = False) -> GradientTransformationExtraArgs:
    """Give `tx.update` the contract of arguments, with `name` for the errors; one that has it already gets the name alone.

    Then `wraps` says whether that is the name of a wrapper, too: adamw is made as a chain, but known by its own name. With a
    `recipe` that says all, an update outside of `jit` is one compiled program.
    """
    kind = type(tx) if isinstance(tx, GradientTransformationExtraArgs) else GradientTransformationExtraArgs
    told = description(tx)
    own_init, own_update = told.own or (tx.init, tx.update)
    reads = told.extra_args

    def run(updates: Updates, state: OptState, params: Params | None, extra_args: dict[str, Any], /):
        try:
            if extra_args:
                return own_update(updates, state, params, **only(reads, extra_args))
            return own_update(updates, state, params)
        except Exception as error:
            mismatch.explain_update(name, error, own_init, updates, state, params)
            raise

    arguments = arguments_of(own_update)
    needed = arguments.required & (arguments.keyword_only | {"params"})
    requires = tuple((dict(told.requires) | dict.fromkeys(sorted(needed), name)).items())
    wraps = told.wraps and (wraps or told.own is None)
    told = told._replace(name=name, requires=requires, run=run, own=(own_init, own_update), wraps=wraps)
    init, update = _checked(name, _Made(recipe, told))
    return kind._make((init, describe(update, told)))


class _Own(NamedTuple):
    """A transformation as its factory has written it, and what its arguments must be."""

    name: str
    init: Callable[[Params], OptState]
    update: Callable[..., tuple[Updates, OptState]]
    reads: frozenset[str]
    requires: tuple[tuple[str, str], ...]
    whole_matrices: bool


@jax.tree_util.register_pytree_node_class
class _Made:
    """All that the functions of a transformation close over. As a tree it is the call that made it.

    Libraries that turn the closures of functions into trees find an array there that is a hyperparameter, and can trace it.
    """

    def __init__(self, recipe: Recipe | None, told: Description | None = None):
        self.recipe = recipe
        self._told = told

    @functools.cached_property
    def own(self) -> _Own:
        """Made again of the leaves of a tree, when it is asked for: until then they may be anything."""
        told = self._told or description(cast("Recipe", self.recipe).made())
        assert told.name
        assert told.own
        return _Own(told.name, *told.own, told.extra_args, told.requires, told.whole_matrices)

    def tree_flatten(self) -> tuple[tuple[Recipe, ...], "_Made | None"]:
        return ((self.recipe,), None) if self.recipe else ((), self)

    @classmethod
    def tree_unflatten(cls, without_recipe: "_Made | None", children: tuple[Recipe, ...]) -> "_Made":
        return without_recipe or cls(children[0])


def _checked(name: str, made: _Made) -> tuple[TransformInitFn, TransformUpdateExtraArgsFn]:
    """The functions of a transformation, with the contract of arguments."""

    def init(params: Params) -> OptState:
        own = made.own
        try:
            return on_mesh_of(params, own.init(params))
        except Exception as error:
            mismatch.explain_init(own.name, error, params)
            raise

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        own = made.own
        try:
            if extra_args:
                refuse_misspelt(extra_args, own.reads)
                extra_args = only(own.reads, extra_args)
            if own.requires:
                _refuse_missing(own.requires, params, extra_args)
            if params is not None:
                params, extra_args = without_bystanders(updates, params, extra_args)
            program = program_of(made.recipe, own.update)
            with as_they_lie(updates) if own.whole_matrices else contextlib.nullcontext():
                if program is not None and are_arrays((updates, state, params, extra_args)):
                    return program(updates, state, params, extra_args)
                return own.update(updates, state, params, **extra_args)
        except Exception as error:
            mismatch.explain_update(own.name, error, own.init, updates, state, params)
            raise

    init.__qualname__, update.__qualname__ = f"{name}.init", f"{name}.update"
    return init, update


def _refuse_missing(requires: tuple[tuple[str, str], ...], params: Params | None, extra_args: dict[str, Any]) -> None:
    """Raise, naming what reads it, if an argument is missing."""
    for keyword, owner in requires:
        if keyword == "params":
            if params is None:
                raise ValueError(f"{owner} reads the parameters: call {_CALL}, not update(updates, state).")
        elif keyword not in extra_args:
            raise TypeError(f"{owner} reads {keyword!r}: call update(updates, state, params, {keyword}=...).")
