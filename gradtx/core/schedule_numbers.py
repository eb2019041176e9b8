"""Numbers inside of schedules by path, such as `learning_rate.peak_value`, and schedules made again with others.

A path is the argument that a schedule was given for, and an argument of the schedule. Schedules in a list have an index:
`learning_rate.schedules[0].end_value`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gradtx.core.arguments import Argument, arguments_in
from gradtx.rounded import Rounded
from gradtx.values import Recipe, Value


def numbers_in_schedules(recipe: Recipe) -> dict[str, Argument]:
    """Return the numbers inside of the schedules among the arguments of a call, by path."""
    arguments = arguments_in(recipe.factory, recipe.arguments, recipe.signature)
    several = [each for argument in arguments for each in (argument, *argument.elements())]
    schedules = [each for each in several if callable(each.value) and each.is_hyperparameter()]
    return {path: number for each in schedules for path, number in _numbers_inside(each.name, each.value)}


def with_numbers(path: str, given: Any, values: Mapping[str, Any]) -> Any:
    """Return an argument with other numbers in its schedules; the very same if there are none for it.

    Args:
      path: of the argument.
      given: a schedule, several numbers or schedules, or anything.
      values: other numbers by path.
    """
    if path in values:
        return values[path]
    if type(given) in (tuple, list) and _any_begins(values, f"{path}["):
        return type(given)(with_numbers(f"{path}[{k}]", item, values) for k, item in enumerate(given))
    recipe = _recipe_of(given)
    if recipe is None or not _any_begins(values, f"{path}."):
        return given
    arguments = dict(recipe.arguments)
    changed = {name: with_numbers(f"{path}.{name}", value, values) for name, value in arguments.items()}
    if all(changed[name] is value for name, value in arguments.items()):
        return given
    call = recipe.signature.bind(*recipe.args, **recipe.kwargs)
    call.arguments.update({name: _plain(new) for name, new in changed.items() if new is not arguments[name]})
    return recipe.factory(*call.args, **call.kwargs)


def standing_for(schedule: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a function of the step be known by a schedule whose value it returns, unless that is overridden."""
    vars(function)["stands_for"] = schedule
    return function


def _numbers_inside(path: str, given: Any) -> Iterator[tuple[str, Argument]]:
    if type(given) in (tuple, list):
        for k, item in enumerate(given):
            yield from _numbers_inside(f"{path}[{k}]", item)
    recipe = _recipe_of(given)
    for argument in arguments_in(recipe.factory, recipe.arguments, recipe.signature) if recipe else ():
        if argument.is_hyperparameter() and not callable(argument.value):
            yield f"{path}.{argument.name}", argument
        yield from _numbers_inside(f"{path}.{argument.name}", argument.value)


def _recipe_of(given: Any) -> Recipe | None:
    """That of a schedule, which a factory has made."""
    made = getattr(given, "stands_for", given)
    return made.recipe if isinstance(made, Value) and callable(made) else None


def _any_begins(paths: Mapping[str, Any], beginning: str) -> bool:
    return any(path.startswith(beginning) for path in paths)


def _plain(number: Any) -> Any:
    """A schedule computes no 1 − b of a decay b, for which `Rounded` knows more digits."""
    return number.array if isinstance(number, Rounded) else number
