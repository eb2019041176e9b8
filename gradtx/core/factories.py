"""`factory`: what makes functions that build transformations factories of values, and gives their arguments a contract."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from gradtx import errors, hints, require
from gradtx.core.bystanders import without_bystanders
from gradtx.core.contracts import Contract
from gradtx.core.extra_args import only, refuse_misspelt
from gradtx.core.protocol import (
    Function,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Schedule,
    Updates,
)
from gradtx.core.wrapping import attach, declared_extra_args, inside
from gradtx.recipe import Recipe, Value
from gradtx.tree import mistakes

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
    signature = inspect.signature(build)
    made_kind = signature.return_annotation
    steerable = isinstance(made_kind, type) and issubclass(made_kind, GradientTransformation)
    contract = Contract(build.__name__, signature, ranges, steerable=steerable)

    @functools.wraps(build)
    def remembering(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            hints.refuse_unknown_keywords(build.__name__, signature.parameters, kwargs)
            build(*args, **kwargs)  # raises Python's own message, which names the function
            raise
        contract.keep(bound.arguments)
        recipe = Recipe(remembering, bound)
        with errors.naming(build.__name__):
            made = _as_value(build(*bound.args, **bound.kwargs), build)
        made.recipe = recipe
        return made

    attach(remembering, is_factory=True)
    return remembering


def _as_value(made: Any, build: Callable[..., Any]) -> Value:
    """What `build` has made, as something that can be given a recipe and is shared with nobody."""
    if isinstance(made, GradientTransformation):
        return sealed(made, build.__name__)
    fresh = isinstance(made, Value) and made.recipe is None
    return made if fresh else Function(cast("Schedule", made), build)


def sealed(tx: GradientTransformation, name: str) -> GradientTransformationExtraArgs:
    """Give `tx.update` the contract of arguments, with `name` for the errors; one that has it already gets the name alone."""
    kind = type(tx) if isinstance(tx, GradientTransformationExtraArgs) else GradientTransformationExtraArgs
    own_init, own_update = getattr(tx.init, "seals", tx.init), getattr(tx.update, "seals", tx.update)
    parameters = inspect.signature(own_update).parameters
    reads_params = "params" in parameters and parameters["params"].default is inspect.Parameter.empty
    # Frozen, as all that a closure here holds: some libraries hash transformations by what their closures hold.
    required = frozenset(p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty)
    declared = declared_extra_args(tx.update)

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        try:
            refuse_misspelt(name, extra_args, declared)
            if params is None and reads_params:
                raise ValueError(f"{name} reads the parameters: call {_CALL}, not update(updates, state).")
            if missing := required - extra_args.keys():
                keyword = min(missing)
                raise TypeError(f"{name} reads {keyword!r}: call update(updates, state, params, {keyword}=...).")
            given = only(declared, extra_args)
            if params is not None:
                params, given = without_bystanders(updates, params, given)
            return own_update(updates, state, params, **given)
        except Exception as error:
            mistakes.explain_update(name, error, own_init, updates, state, params)
            raise

    def init(params: Params) -> OptState:
        try:
            return own_init(params)
        except Exception as error:
            mistakes.explain_init(name, error, params)
            raise

    attach(init, seals=own_init)
    attach(update, extra_args=declared, seals=own_update, inside=inside(tx))
    return kind._make((init, update))
