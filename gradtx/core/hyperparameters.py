"""Hyperparameters by path, such as `adamw.learning_rate`, and transformations made again with others.

A path is the name of a factory and an argument of it. Names of a `named_chain` and labels of a `partition` or of groups come
before, as in `matrix.muon.learning_rate`; chains and wrappers add nothing. What a group itself says is `bias.weight_decay`.
Where two factories have the same path, an index tells them apart: `adamw[0].learning_rate` and `adamw[1].learning_rate`. An
argument that is several numbers has an index, too: `prodigy.betas[0]`. A number inside of a schedule is
`adamw.learning_rate.peak_value`, see `schedule_numbers`.
"""

import collections
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from gradtx import hints
from gradtx.core.arguments import Argument, Kind, arguments_in
from gradtx.core.description import description, supported
from gradtx.core.protocol import GradientTransformation, Transformation
from gradtx.core.schedule_numbers import numbers_in_schedules, with_numbers
from gradtx.errors import names_errors_when_alone, unnamed
from gradtx.rounded import given_to
from gradtx.values import Recipe, Value

Labels: TypeAlias = tuple[str, ...]


class Made(NamedTuple):
    """What the call of a factory has made, and the labels above it."""

    labels: Labels
    value: Value
    recipe: Recipe

    @property
    def name(self) -> str:
        """The name of the factory, below the labels; what has a label of its own, as a group has, is called by that alone."""
        own = () if _own_label(self.value) else (inspect.unwrap(self.recipe.factory).__name__,)
        return ".".join((*self.labels, *own))

    def hyperparameters(self, kind: Kind = Argument.is_hyperparameter) -> dict[str, Any]:
        """Return those among the arguments of the call, and the schedules that the factory has made of others."""
        found = own_hyperparameters(self.recipe, kind)
        return {**found, **dict(description(self.value).follows)} if isinstance(self.value, GradientTransformation) else found

    def in_schedules(self, kind: Kind = Argument.is_hyperparameter) -> dict[str, Any]:
        """Return the numbers inside of the schedules among the arguments of the call."""
        return {path: each.value for path, each in numbers_in_schedules(self.recipe).items() if kind(each)}

    def given(self) -> Iterator["Made"]:
        """Yield what factories have made among the arguments of the call."""
        for argument in self.recipe.arguments.values():
            yield from made_in(argument, self.labels)

    def everything(self) -> Iterator["Made"]:
        """Yield it and all that factories have made for it, from the outside in, in the order of their arguments."""
        yield self
        for made in self.given():
            yield from made.everything()


def made_in(given: Any, labels: Labels = ()) -> Iterator[Made]:
    """Yield the outermost things in an argument that factories have made: transformations, or what describes them."""
    if isinstance(given, Value) and given.recipe is not None and not callable(given):
        yield Made((*labels, *_own_label(given)), given, given.recipe)
    else:
        for label, item in _items(given):
            yield from made_in(item, (*labels, *label))


def all_made(given: Any, labels: Labels = ()) -> Iterator[Made]:
    """Yield all that factories have made, from the outside in, in the order of their arguments."""
    for made in made_in(given, labels):
        yield from made.everything()


def own_hyperparameters(recipe: Recipe, kind: Kind = Argument.is_hyperparameter) -> dict[str, Any]:
    """Return the hyperparameters among the arguments of one call, by their names."""
    found = arguments_in(recipe.factory, recipe.arguments, recipe.signature)
    return {each.name: each.value for argument in found for each in (argument, *argument.elements()) if kind(each)}


def hyperparameters(tx: Transformation, kind: Kind = Argument.is_hyperparameter) -> dict[str, Any]:
    """Return every hyperparameter of what `tx` is made of, by path, as it was given: a number, an array or a schedule.

    Args:
      tx: a transformation; of one from another library nothing is known.
      kind: which arguments to return.
    """
    made = list(all_made(supported(tx)))
    return {
        f"{name}.{argument}": value
        for name, each in zip(numbered(each.name for each in made), made, strict=True)
        for argument, value in own_hyperparameters(each.recipe, kind).items()
    }


def schedule_hyperparameters(tx: Transformation, kind: Kind = Argument.is_hyperparameter) -> dict[str, Any]:
    """Return every number inside of a schedule that `tx` was given, by path, such as `adamw.learning_rate.peak_value`."""
    made = list(all_made(supported(tx)))
    return {
        f"{name}.{path}": value
        for name, each in zip(numbered(each.name for each in made), made, strict=True)
        for path, value in each.in_schedules(kind).items()
    }


@names_errors_when_alone
def rebuilt(tx: Transformation, values: Mapping[str, Any]) -> GradientTransformation:
    """Return `tx` with other hyperparameters: what its factories return when they are called with them.

    Args:
      tx: a transformation.
      values: new numbers, arrays or schedules, by path; see `hyperparameters` and `schedule_hyperparameters`. For what is in
        a schedule that is replaced itself they have no effect.

    Raises:
      KeyError: nothing has such a path.
      ValueError, TypeError: from a factory that refuses a value.
    """
    refuse_unknown(values, {**hyperparameters(tx), **schedule_hyperparameters(tx)})
    names = iter(numbered(each.name for each in all_made(supported(tx))))

    def remade(made: Made) -> Value:
        recipe, name = made.recipe, next(names)
        its_values = given_to(recipe.factory, values)
        changed = {
            argument: new
            for argument, given in recipe.arguments.items()
            if (new := with_numbers(f"{name}.{argument}", _with_parts(given, remade), its_values)) is not given
        }
        if not changed:
            return made.value
        call = recipe.signature.bind(*recipe.args, **recipe.kwargs)
        call.arguments.update(changed)
        return recipe.factory(*call.args, **call.kwargs)

    return _with_parts(supported(tx), remade)


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names with an index where several are the same."""
    names = list(names)
    total, seen = collections.Counter(names), collections.Counter[str]()
    indexed = []
    for name in names:
        indexed.append(f"{name}[{seen[name]}]" if total[name] > 1 else name)
        seen[name] += 1
    return indexed


def refuse_unknown(paths: Iterable[str], known: Iterable[str]) -> None:
    """Raise `KeyError` with a hint if one of the paths is not known."""
    known = dict.fromkeys(known)
    for path in paths:
        if path not in known:
            hint = hints.nearest(path, list(known), otherwise=f"there are {', '.join(known) or 'none'}.")
            raise unnamed(KeyError, f"there is no hyperparameter {path!r}; {hint}")


def _own_label(value: Value) -> Labels:
    """The label of what has one, as a group has, before itself and all that it was given."""
    return (value.label,) if hasattr(value, "label") else ()  # pyright: ignore[reportAttributeAccessIssue]


def _with_parts(given: Any, remade: Callable[[Made], Value]) -> Any:
    """An argument whose parts are made again; the very same if none has changed."""
    if isinstance(given, Value):
        return next(map(remade, made_in(given)), given)
    old = [item for _, item in _items(given)]
    new = [_with_parts(item, remade) for item in old]
    if all(a is b for a, b in zip(new, old, strict=True)):
        return given
    return dict(zip(given, new, strict=True)) if isinstance(given, Mapping) else type(given)(new)


def _items(given: Any) -> list[tuple[Labels, Any]]:
    """What is in a container, with its label there: a key, or the name in a pair such as `named_chain` takes."""
    if isinstance(given, Mapping):
        return [((str(key),), item) for key, item in given.items()]
    if type(given) is tuple and len(given) == 2 and isinstance(given[0], str):
        return [((), given[0]), ((given[0],), given[1])]
    return [((), item) for item in given] if type(given) in (tuple, list) else []
