"""Read and change the hyperparameters of a running optimizer."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx.composition.parts import holds_hyperparameters, parts, walk
from gradtx.composition.settings import Labels, Node, has_recipe, numbered, own_settings, refuse_unknown
from gradtx.core import GradientTransformation, OptState, Part, Transformation, description, supported
from gradtx.recipe import Recipe, Value
from gradtx.tree.paths import without_boxes


def hyperparams(tx: Transformation, state: OptState, *, last: bool = False) -> dict[str, Any]:
    """Return the present value of every hyperparameter of an optimizer, by path: what the next update will use.

        tx = chain(clip_by_global_norm(1.0), adamw(cosine_decay_schedule(1e-3, 1000)))
        hyperparams(tx, state)      {"clip_by_global_norm.max_norm": 1.0, "adamw.learning_rate": Array(0.0007), ...}

    A path is the name of a function and of its argument. Names of a `named_chain` and labels of a `partition` come before,
    `matrix.muon.learning_rate`; where two have the same path an index tells them apart, `adamw[0].learning_rate`, as it does
    where an argument is several numbers, `prodigy.betas[0]`. Schedules are evaluated at the state's own counts. What was given
    as a number is returned as it is; what `adjustable` or `inject_hyperparams` keeps in the state is an array.

    Args:
      tx: a transformation. Of one from another library nothing is known.
      state: its state, also as Flax's `nnx.Optimizer` keeps it; it may be traced. For that of many runs, made under `vmap`:
        `jax.vmap(lambda s: hyperparams(tx, s))`.
      last: True evaluates schedules at the step before instead, which the last update has taken, as for a log of it. (Before
        the first update both are the first step; a number that was set since then is returned as it is now.)

    Raises:
      ValueError: the state is not that of `tx`.
    """
    found = _settings("hyperparams", tx, without_boxes(state), last=last)
    return {path: _value(setting, last=last) for path, setting in found.items()}


def set_hyperparams(tx: Transformation, state: OptState, values: Mapping[str, Any], *, override: bool = False) -> OptState:
    """Return the state of an `adjustable` optimizer with other hyperparameters, which are used from the next update on.

        tx = adjustable(adamw(1e-3))
        state = set_hyperparams(tx, tx.init(params), {"adamw.learning_rate": 3e-4, "adamw.b2": 0.95})

    Nothing compiles again, and nothing else in the state changes. What `init` alone reads, such as an initial value, has no
    effect any more.

    Args:
      tx: an `adjustable` transformation, or one with such parts. `inject_hyperparams` is one, too.
      state: its state.
      values: new values by path, see `hyperparams`: scalars, also traced ones, as in `jax.vmap` over many of them.
      override: whether what follows a schedule takes the value instead, until it is set to None, which lets the schedule go on.

    Raises:
      KeyError: there is no such hyperparameter.
      TypeError: a value is no number.
      ValueError: a hyperparameter is not in the state, or follows a schedule, or a number is out of range, or an array has
        another shape.
    """
    bare = without_boxes(state)
    known = _settings("set_hyperparams", tx, bare)
    refuse_unknown("set_hyperparams", values, known)
    adjusted: dict[int, dict[str, Any]] = {}
    holders: dict[int, Part] = {}
    for path, value in values.items():
        holder = known[path].holder
        if holder is None:
            raise ValueError(
                f"set_hyperparams: {path} is compiled into the update, as the optimizer is not adjustable; "
                f"write adjustable({known[path].place.node.name}(...)), or adjustable(...) around the whole."
            )
        holders[id(holder.state)] = holder
        adjusted.setdefault(id(holder.state), {})[known[path].local_path] = value
    replaced = {key: _adjusted(holders[key], new, override) for key, new in adjusted.items()}
    new = jax.tree.map(lambda node: replaced.get(id(node), node), bare, is_leaf=lambda node: id(node) in replaced)
    return jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(new))


def _adjusted(holder: Part, values: Mapping[str, Any], override: bool) -> OptState:
    adjust = description(holder.tx).adjust
    assert adjust is not None
    return adjust(holder.state, values, override)


# --- where hyperparameters are ----------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A factory that was called, all that it has made beside their states, and the wrapper that holds its hyperparameters."""

    node: Node
    made: list[Part]
    state: OptState
    holder: Part | None = None
    local_name: str = ""


class _Setting(NamedTuple):
    """A hyperparameter as it was given, and where."""

    place: _Place
    argument: str
    given: Any

    @property
    def holder(self) -> Part | None:
        return self.place.holder

    @property
    def local_path(self) -> str:
        return f"{self.place.local_name}.{self.argument}"


def _settings(owner: str, tx: Transformation, state: OptState, *, last: bool = False) -> dict[str, _Setting]:
    try:
        places = _whole(tx, state, last)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{owner}: the state is not that of {tx!r}; pass what init or update has returned, under vmap that of many runs."
        ) from error
    return {
        f"{name}.{argument}": _Setting(place, argument, given)
        for name, place in zip(numbered(place.node.name for place in places), places, strict=True)
        for argument, given in (*own_settings(place.node.recipe), *_followed(place.node.value))
    }


def _followed(value: Value) -> Iterable[tuple[str, Any]]:
    return description(value).follows if isinstance(value, GradientTransformation) else ()


def _whole(tx: Transformation, state: OptState, last: bool) -> list[_Place]:
    tx = supported(tx)
    return list(_places(tx, state, (), [Part(None, tx, state)], last))


def _places(value: Value, state: OptState, labels: Labels, around: list[Part], last: bool) -> Iterator[_Place]:
    """The factories whose calls made `value`, in the order of `settings.nodes`, as they are at present.

    Its state is that of the first of the parts `around` that it is; if it is none of them, that of all is passed on.
    """
    index = next((k for k, part in enumerate(around) if part.tx is value), None)
    own = None if index is None else around.pop(index)
    if own is not None:
        state, around = own.state, list(walk(own.tx, own.state))[1:]
        if holds_hyperparameters(own.tx):
            yield from _held(own, labels, last)
            return
    if has_recipe(value):
        node = Node(labels, value)
        yield _Place(node, [own, *around] if own else list(around), state)
        for part_labels, part in node.below():
            yield from _places(part, state, part_labels, around, last)


def _held(holder: Part, labels: Labels, last: bool) -> Iterator[_Place]:
    [present] = parts(holder.tx, _at_last_step(holder.state) if last else holder.state)
    places = _whole(present.tx, present.state, last)
    for local_name, place in zip(numbered(place.node.name for place in places), places, strict=True):
        node = place.node._replace(labels=(*labels, *place.node.labels))
        yield place._replace(node=node) if place.holder else place._replace(node=node, holder=holder, local_name=local_name)


# --- what schedules say -----------------------------------------------------------------------------------------------


def _value(setting: _Setting, *, last: bool) -> Any:
    if not callable(setting.given):
        return setting.given
    step = _step(setting.given, setting.place)
    return setting.given(_before(step) if last else step)


def _before(step: Any) -> Any:
    return jnp.maximum(step - 1, 0)


def _at_last_step(state: Any) -> Any:
    """The state of what holds hyperparameters with its count, and those of its schedules, at the step before."""
    changed: dict[str, Any] = {}
    if "count" in getattr(state, "_fields", ()):
        changed["count"] = _before(state.count)
    if schedules := getattr(state, "hyperparams_states", None):
        changed["hyperparams_states"] = {name: _at_last_step(each) for name, each in schedules.items()}
    return state._replace(**changed) if changed else state


def _step(schedule: Any, place: _Place) -> Any:
    """The step at which a schedule is evaluated next: that of the innermost transformation that was given it."""
    for part in reversed(place.made):
        recipe: Recipe | None = getattr(part.tx, "recipe", None)
        if recipe is not None and any(given is schedule for given in recipe.arguments.values()):
            count = _count(part)
            if count is not None:
                return count
    counts = tree.get_all_with_path(place.state, "count")
    if not counts:
        raise ValueError(f"hyperparams: no count in the state tells at which step {place.node.name} evaluates {schedule!r}.")
    return counts[0][1]


def _count(part: Part) -> Any:
    """The step of a transformation that evaluates a schedule; None if its parts do."""
    told = description(part.tx).count
    if told is not None:
        return told(part.state)
    return next((field for field in _fields(part.state) if _is_integer(field)), None)


def _fields(state: OptState) -> Iterator[Any]:
    """The fields of a state; of one behind a mask those of the other."""
    if hasattr(state, "_fields"):
        yield from _fields(state.inner_state) if state._fields == ("inner_state",) else state


def _is_integer(field: Any) -> bool:
    return isinstance(field, jax.Array | np.ndarray) and jnp.issubdtype(field.dtype, jnp.integer)
