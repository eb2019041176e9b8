"""Say what was wrong with the arguments of an `init` or an `update` that has failed, where that can be told for certain.

Nothing here runs before a failure, so it costs a step nothing. What a rule finds wrong with its trees, `mismatch` says.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax

from gradtx.tree import mismatch
from gradtx.tree.search import is_namedtuple

_CALL = "update(updates, state, params)"


def explain(owner: str, error: Exception, **trees: Any) -> None:
    """Raise `TypeError` if one of the trees that `owner` failed with holds something other than arrays.

    Only the innermost transformation that fails is asked: what a mask keeps from it, such as a function, is no mistake.
    """
    if hasattr(error, "explained"):
        return
    vars(error)["explained"] = True
    for word, tree in trees.items():
        try:
            mismatch.check_arrays(owner, word, tree)
        except TypeError as explanation:
            vars(explanation)["explained"] = True
            raise


def explain_state(owner: str, init: Callable[[Any], Any], updates: Any, state: Any, params: Any) -> None:
    """Raise `TypeError` if `state` is clearly none that `init` makes. Its parts are left to the transformations they belong to.

    Args:
      owner: the transformation.
      init: makes its state; called on shapes alone.
      updates: the first argument of its `update`.
      state: the second.
      params: the third.
    """
    expected = _expected(init, params, updates)
    if expected is None or expected == () or _alike(state, expected):
        return
    raise TypeError(f"{owner}: the state is {_kind(state)}, not {_kind(expected)} as init makes it. {_advice(updates, state)}")


def _expected(init: Callable[[Any], Any], *likely: Any) -> Any:
    """The state that `init` makes of the first tree of which it makes one: the arguments may be in the wrong order."""
    for tree in likely:
        if tree is not None:
            try:
                return jax.eval_shape(init, tree)
            except Exception:
                continue
    return None


def _alike(state: Any, expected: Any) -> bool:
    """Whether both are NamedTuples of the same fields (Optax's, too), or both are no NamedTuple but the same otherwise."""
    fields, expected_fields = (getattr(each, "_fields", None) for each in (state, expected))
    if fields is not None or expected_fields is not None:
        return fields == expected_fields
    if isinstance(expected, tuple | list):  # checkpoints may have made a list of a tuple
        return isinstance(state, tuple | list) and len(state) == len(expected)
    if isinstance(expected, dict):
        return isinstance(state, dict) and state.keys() == expected.keys()
    return jax.tree_util.all_leaves([expected]) == jax.tree_util.all_leaves([state])


def _advice(updates: Any, state: Any) -> str:
    if state is None or _is_function(state):
        return f"Make one before the first step, state = tx.init(params), and pass it on: {_CALL}."
    if jax.tree.structure(state) == jax.tree.structure(updates):
        return f"It has the structure of the updates: call {_CALL}, in this order."
    return "Is it the state of another optimizer?"


def _kind(state: Any) -> str:
    """The node that a state is, with what is directly below it."""
    if state is None:
        return "None"
    if _is_function(state):
        return f"a function, {getattr(state, '__name__', type(state).__name__)}"
    if is_namedtuple(state):
        return type(state).__name__
    if isinstance(state, tuple | list):
        return f"a {type(state).__name__} of {_some(type(part).__name__ for part in state)}"
    if isinstance(state, dict):
        return f"a dict of {_some(map(repr, state))}"
    return "an array" if hasattr(state, "shape") else f"a {type(state).__name__}"


def _is_function(state: Any) -> bool:
    """A model may be a tree and callable at once: that is a tree."""
    return callable(state) and jax.tree_util.all_leaves([state])


def _some(words: Iterable[str]) -> str:
    words = list(words)
    return ", ".join(words[:5] + ["..."] * (len(words) > 5)) or "nothing"
