"""Hyperparameters by their place in a composition, such as `adamw.learning_rate`, and compositions with others.

A path is the name of a factory and an argument of it. Names of a `named_chain` and labels of a `partition` or of groups come
before, as in `matrix.muon.learning_rate`; chains and wrappers add nothing. What a group itself says is `bias.weight_decay`.
Where two factories have the same path, an index tells them apart: `adamw[0].learning_rate` and `adamw[1].learning_rate`. An
argument that is several numbers has an index, too: `prodigy.betas[0]`.
"""

import collections
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from gradtx import hints
from gradtx.composition.arguments import elements, is_hyperparameter, signature_of
from gradtx.core import GradientTransformation, Transformation, supported
from gradtx.recipe import Recipe, Value

Labels: TypeAlias = tuple[str, ...]
Kind: TypeAlias = Callable[[Any, inspect.Parameter], bool]


class Node(NamedTuple):
    """A factory that was called, under the labels above it, and the value that it made."""

    labels: Labels
    value: Value

    @property
    def recipe(self) -> Recipe:
        """The call."""
        return recipe_of(self.value)

    @property
    def name(self) -> str:
        """The name of the factory, below the labels; what has a label of its own, as a group has, is called by that alone."""
        return ".".join(self.labels if _own_label(self.value) else [*self.labels, inspect.unwrap(self.recipe.factory).__name__])

    def below(self) -> Iterator[tuple[Labels, Value]]:
        """What the factory was given that was made by factories, too, with the labels it has there."""
        for given in self.recipe.arguments.values():
            yield from _parts_in(given, self.labels)


def settings(tx: Transformation, kind: Kind = is_hyperparameter) -> dict[str, Any]:
    """Return every hyperparameter of what `tx` is made of, by path, as it was given: a number, an array or a schedule.

    Args:
      tx: a transformation; of one from another library nothing is known.
      kind: which arguments to return, from the value and the parameter of the signature.
    """
    found = list(nodes(supported(tx)))
    return {
        f"{name}.{argument}": value
        for name, node in zip(numbered(node.name for node in found), found, strict=True)
        for argument, value in own_settings(node.recipe, kind)
    }


def rebuilt(tx: Transformation, values: Mapping[str, Any]) -> GradientTransformation:
    """Return the composition of `tx` with other hyperparameters: what its factories return when they are called with them.

    Args:
      tx: a transformation.
      values: new numbers, arrays or schedules, by path; see `settings`.

    Raises:
      KeyError: nothing has such a path.
      ValueError, TypeError: from a factory that refuses a value.
    """
    refuse_unknown("rebuilt", values, settings(tx))
    names = iter(numbered(node.name for node in nodes(supported(tx))))

    def remade(value: Value) -> Value:
        recipe, name = recipe_of(value), next(names)
        changed = {
            argument: new
            for argument, given in recipe.arguments.items()
            if (new := _replaced(f"{name}.{argument}", _with_parts(given, remade), values)) is not given
        }
        if not changed:
            return value
        call = inspect.signature(recipe.factory).bind(*recipe.args, **recipe.kwargs)
        call.arguments.update(changed)
        return recipe.factory(*call.args, **call.kwargs)

    made = remade(supported(tx)) if has_recipe(supported(tx)) else tx
    return made  # pyright: ignore[reportReturnType]


def nodes(value: Any, labels: Labels = ()) -> Iterator[Node]:
    """Yield the factories whose calls made a value, from the outside in, in the order of their arguments."""
    if has_recipe(value):
        node = Node(labels, value)
        yield node
        for part_labels, part in node.below():
            yield from nodes(part, part_labels)


def own_settings(recipe: Recipe, kind: Kind = is_hyperparameter) -> Iterator[tuple[str, Any]]:
    """Yield the hyperparameters among the arguments of one call."""
    parameters = signature_of(recipe.factory).parameters
    for argument, value in recipe.arguments.items():
        if kind(value, parameters[argument]):
            yield argument, value
        for k, (item, parameter) in enumerate(elements(value, parameters[argument])):
            if kind(item, parameter):
                yield f"{argument}[{k}]", item


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names with an index where several are the same."""
    names = list(names)
    total, seen = collections.Counter(names), collections.Counter[str]()
    indexed = []
    for name in names:
        indexed.append(f"{name}[{seen[name]}]" if total[name] > 1 else name)
        seen[name] += 1
    return indexed


def refuse_unknown(owner: str, paths: Iterable[str], known: Iterable[str]) -> None:
    """Raise `KeyError` with a hint if one of the paths is not known."""
    known = list(known)
    for path in paths:
        if path not in known:
            hint = hints.nearest(path, known, otherwise=f"there are {', '.join(known) or 'none'}.")
            raise KeyError(f"{owner}: there is no hyperparameter {path!r}; {hint}")


def has_recipe(value: Any) -> TypeGuard[Value]:
    """Whether a value is a part of a composition: a transformation (or what describes one) that knows how it was made."""
    return isinstance(value, Value) and value.recipe is not None and not callable(value)


def recipe_of(value: Value) -> Recipe:
    """The recipe of what has one."""
    assert value.recipe is not None
    return value.recipe


def _parts_in(given: Any, labels: Labels) -> Iterator[tuple[Labels, Value]]:
    if has_recipe(given):
        yield (*labels, *_own_label(given)), given
    else:
        for label, item in _items(given):
            yield from _parts_in(item, (*labels, *label))


def _own_label(value: Value) -> Labels:
    """The label of what has one, as a group has, before itself and all that it was given."""
    return (value.label,) if hasattr(value, "label") else ()  # pyright: ignore[reportAttributeAccessIssue]


def _replaced(path: str, given: Any, values: Mapping[str, Any]) -> Any:
    """An argument with another value, or one of several numbers with others; the very same if it has none."""
    if isinstance(given, tuple | list) and any(f"{path}[{k}]" in values for k in range(len(given))):
        return type(given)(values.get(f"{path}[{k}]", item) for k, item in enumerate(given))
    return values.get(path, given)


def _with_parts(given: Any, remade: Callable[[Value], Value]) -> Any:
    """An argument whose parts are made anew; the very same if none has changed."""
    if has_recipe(given):
        return remade(given)
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
