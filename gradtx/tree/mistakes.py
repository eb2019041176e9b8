"""Say what was wrong with the arguments of an `init` or an `update` that has failed, where that can be told for certain.

Nothing here runs before a failure, so it costs a step nothing. What a rule finds wrong with its trees, `mismatch` says.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax

from gradtx import errors
from gradtx.tree import mismatch
from gradtx.tree.mask import is_function
from gradtx.tree.search import is_namedtuple

_CALL = "update(updates, state, params)"


def explain_update(owner: str, error: Exception, init: Callable[[Any], Any], updates: Any, state: Any, params: Any) -> None:
    """Raise `TypeError` if an argument of the `update` that failed is to blame; else give the error the name of `owner`.

    The innermost transformation that fails is asked, those around it are not: what a mask keeps from it, such as a function, is
    not a mistake, and a large tree is looked at once.

    Args:
      owner: the transformation.
      error: what its `update` raised.
      init: makes its state; called on shapes alone.
      updates: the first argument of `update`.
      state: the second.
      params: the third.
    """
    _explain(
        owner,
        error,
        lambda: _check_state(owner, init, updates, state, params),
        lambda: mismatch.check_arrays(owner, "updates", updates),
        lambda: mismatch.check_arrays(owner, "params", params),
    )


def explain_init(owner: str, error: Exception, params: Any) -> None:
    """Raise `TypeError` if the parameters that an `init` failed with hold something other than arrays; see `explain_update`."""
    _explain(owner, error, lambda: mismatch.check_arrays(owner, "params", params))


def _explain(owner: str, error: Exception, *checks: Callable[[], None]) -> None:
    if not errors.is_new(error):
        return
    errors.rename(owner, error)
    try:
        for check in checks:
            check()
    except TypeError as explanation:
        errors.is_new(explanation)
        raise explanation from error


def _check_state(owner: str, init: Callable[[Any], Any], updates: Any, state: Any, params: Any) -> None:
    """Raise `TypeError` if the state is clearly not one that `init` makes. Its parts are left to those they belong to."""
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
    """Whether both are NamedTuples of the same fields (Optax's, too), or both are the same but not NamedTuples."""
    fields, expected_fields = (getattr(each, "_fields", None) for each in (state, expected))
    if fields is not None or expected_fields is not None:
        return fields == expected_fields
    if isinstance(expected, tuple | list):  # checkpoints may have made a list of a tuple
        return isinstance(state, tuple | list) and len(state) == len(expected)
    if isinstance(expected, dict):
        return isinstance(state, dict) and state.keys() == expected.keys()
    return jax.tree_util.all_leaves([expected]) == jax.tree_util.all_leaves([state])


def _advice(updates: Any, state: Any) -> str:
    if state is None or is_function(state):
        return f"Make one before the first step, state = tx.init(params), and pass it on: {_CALL}."
    if jax.tree.structure(state) == jax.tree.structure(updates):
        return f"It has the structure of the updates: call {_CALL}, in this order."
    return "Is it the state of another optimizer?"


def _kind(state: Any) -> str:
    """The node that a state is, with what is directly below it."""
    if state is None:
        return "None"
    if is_function(state):
        return f"a function, {getattr(state, '__name__', type(state).__name__)}"
    if is_namedtuple(state):
        return type(state).__name__
    if isinstance(state, tuple | list):
        return f"a {type(state).__name__} of {_some(type(part).__name__ for part in state)}"
    if isinstance(state, dict):
        return f"a dict of {_some(map(repr, state))}"
    return "an array" if hasattr(state, "shape") else f"a {type(state).__name__}"


def _some(words: Iterable[str]) -> str:
    words = list(words)
    return ", ".join(words[:5] + ["..."] * (len(words) > 5)) or "nothing"
