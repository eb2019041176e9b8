"""Read and change the hyperparameters of a running optimizer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx.core import OptState, Transformation
from gradtx.core.hyperparameters import Labels, Made, made_in, numbered, refuse_unknown
from gradtx.errors import names_errors, unnamed
from gradtx.inspection.walk import Node, walk
from gradtx.tree.paths import without_boxes


@names_errors
def hyperparams(tx: Transformation, state: OptState, *, last: bool = False) -> dict[str, Any]:
    """Return the present value of every hyperparameter of an optimizer, by path: what the next update will use.

        tx = chain(clip_by_global_norm(1.0), adamw(cosine_decay_schedule(1e-3, 1000)))
        hyperparams(tx, state)      {"clip_by_global_norm.max_norm": 1.0, "adamw.learning_rate": Array(0.0007), ...}

    A path is the name of a function and of its argument. Names of a `named_chain` and labels of a `partition` come before,
    `matrix.muon.learning_rate`; where two have the same path an index tells them apart, `adamw[0].learning_rate`, as it does
    where an argument is several numbers, `prodigy.betas[0]`. Schedules are evaluated at the state's own counts, and the numbers
    that they were made with follow: `adamw.learning_rate.decay_steps`, of joined ones
    `adamw.learning_rate.schedules[0].end_value`. What was given as a number is returned as it is; what `adjustable` or
    `inject_hyperparams` keeps in the state is an array.

    Args:
      tx: a transformation. Of one from another library nothing is known.
      state: its state, also as Flax's `nnx.Optimizer` keeps it; it may be traced. For that of many runs, made under `vmap`:
        `jax.vmap(lambda s: hyperparams(tx, s))`.
      last: True evaluates schedules at the step before instead, which the last update has taken, as for a log of it. (Before
        the first update both are the first step; a number that was set since then is returned as it is now.)

    Raises:
      ValueError: the state is not that of `tx`.
    """
    found = _found(tx, without_boxes(state), last=last)
    return {path: each.value(last) for path, each in found.items()}


@names_errors
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
      TypeError: a value is not a number.
      ValueError: a hyperparameter is not in the state, or follows a schedule, or a number is out of range, or an array has
        another shape.
    """
    leaves, structure = jax.tree.flatten(without_boxes(state))
    # Of shapes alone, which say where each leaf is: a part knows its state, but not where that is in the whole.
    places = structure.unflatten([jax.ShapeDtypeStruct((position,), int) for position in range(len(leaves))])
    known = _found(tx, places)
    refuse_unknown(values, known)
    by_holder: dict[Node, dict[str, Any]] = {}
    for path, value in values.items():
        place = known[path].place
        if place.holder is None:
            raise unnamed(
                ValueError,
                f"{path} is compiled into the update, as the optimizer is not adjustable; "
                f"write adjustable({place.made.name}(...)), or adjustable(...) around the whole.",
            )
        by_holder.setdefault(place.holder, {})[f"{place.local_name}.{known[path].argument}"] = value
    for holder, new in by_holder.items():
        assert holder.told.adjust is not None
        own = jax.tree.map(lambda place: leaves[place.shape[0]], holder.state)
        changed = holder.told.adjust(own, new, override)
        for place, leaf in zip(jax.tree.leaves(holder.state), jax.tree.leaves(changed), strict=True):
            leaves[place.shape[0]] = leaf
    return jax.tree.unflatten(jax.tree.structure(state), leaves)


# --- where hyperparameters are ----------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """What a factory has made, all of it that has a state, that state, and the wrapper that stores its hyperparameters."""

    made: Made
    nodes: Sequence[Node]
    state: OptState
    holder: Node | None = None
    local_name: str = ""


class _Hyperparameter(NamedTuple):
    """A hyperparameter as it was given, and where."""

    place: _Place
    argument: str
    given: Any

    def value(self, last: bool) -> Any:
        """What it is in the next step, or was in the last."""
        if not callable(self.given):
            return self.given
        step = _step(self.given, self.place)
        return self.given(_before(step) if last else step)


def _found(tx: Transformation, state: OptState, *, last: bool = False) -> dict[str, _Hyperparameter]:
    try:
        places = _places_in(walk(tx, state), last)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"the state is not that of {tx!r}; pass what init or update has returned, under vmap that of many runs."
        raise unnamed(ValueError, message) from error
    return {
        f"{name}.{argument}": _Hyperparameter(place, argument, given)
        for name, place in zip(_names(places), places, strict=True)
        for argument, given in {**place.made.hyperparameters(), **place.made.in_schedules()}.items()
    }


def _names(places: Sequence[_Place]) -> list[str]:
    return numbered(place.made.name for place in places)


def _places_in(node: Node, last: bool) -> list[_Place]:
    nodes = [node]
    return [place for made in made_in(node.tx) for place in _places(made, node.state, nodes, last)]


def _places(made: Made, state: OptState, nodes: list[Node], last: bool) -> Iterator[_Place]:
    """What the call of a factory and the calls among its arguments have made, in the order of `hyperparameters`.

    Its state is that of the first of the `nodes` that it is, which is taken; if it is none of them, that of all is passed on.
    """
    own = next((node for node in nodes if node.tx is made.value), None)
    if own is not None:
        nodes.remove(own)
        if own.told.stores_hyperparameters:
            yield from _stored(own, made.labels, last)
            return
        state, nodes = own.state, list(own.everything())[1:]
    yield _Place(made, [own, *nodes] if own else list(nodes), state)
    for given in made.given():
        yield from _places(given, state, nodes, last)


def _stored(holder: Node, labels: Labels, last: bool) -> Iterator[_Place]:
    """What is in a wrapper that stores the hyperparameters of its one part, as that is at present."""
    [present] = replace(holder, state=_at_last_step(holder.state)).parts if last else holder.parts
    places = _places_in(present, last)
    for local_name, place in zip(_names(places), places, strict=True):
        place = place._replace(made=place.made._replace(labels=(*labels, *place.made.labels)))
        yield place if place.holder else place._replace(holder=holder, local_name=local_name)


# --- what schedules say -----------------------------------------------------------------------------------------------


def _before(step: Any) -> Any:
    return jnp.maximum(step - 1, 0)


def _at_last_step(state: Any) -> Any:
    """The state of what stores hyperparameters with its count, and those of its schedules, at the step before."""
    changed: dict[str, Any] = {}
    if "count" in getattr(state, "_fields", ()):
        changed["count"] = _before(state.count)
    if schedules := getattr(state, "hyperparams_states", None):
        changed["hyperparams_states"] = {name: _at_last_step(each) for name, each in schedules.items()}
    return state._replace(**changed) if changed else state


def _step(schedule: Any, place: _Place) -> Any:
    """The step at which a schedule is evaluated next: that of the innermost transformation that was given it."""
    for node in reversed(place.nodes):
        if node.recipe is not None and any(given is schedule for given in node.recipe.arguments.values()):
            count = _count(node)
            if count is not None:
                return count
    counts = tree.get_all_with_path(place.state, "count")
    if not counts:
        message = f"no count in the state tells at which step {place.made.name} evaluates {schedule!r}."
        raise unnamed(ValueError, message)
    return counts[0][1]


def _count(node: Node) -> Any:
    """The step of a transformation that evaluates a schedule; None if its parts do."""
    if node.told.count is not None:
        return node.told.count(node.state)
    return next((field for field in _fields(node.state) if _is_integer(field)), None)


def _fields(state: OptState) -> Iterator[Any]:
    """The fields of a state; of one behind a mask those of the other."""
    if hasattr(state, "_fields"):
        yield from _fields(state.inner_state) if state._fields == ("inner_state",) else state


def _is_integer(field: Any) -> bool:
    return isinstance(field, jax.Array | np.ndarray) and jnp.issubdtype(field.dtype, jnp.integer)
