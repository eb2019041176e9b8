"""Say what is wrong with trees, by path: with those that a rule was given, and with the arguments of `init` and `update`.

Nothing here but `refuse` and `check_...` runs before a failure, so it costs a step nothing. Errors begin with no name: the
innermost transformation that they leave gives them its own (`gradtx.errors`).
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import all_leaves, keystr, tree_flatten_with_path

from gradtx import errors
from gradtx.errors import unnamed
from gradtx.tree.holes import is_hole
from gradtx.tree.masks import is_function
from gradtx.tree.search import is_namedtuple

MADE_FOR_OTHERS = "Was the state made by init for other params?"

_WORDS = {"g": "updates", "u": "updates", "p": "params"}  # what a rule's parameters are called in the errors
_CALL = "update(updates, state, params)"

# --- the trees of a rule ------------------------------------------------------------------------------------------------


def refuse(leaf: Sequence[Any], alike: Container[int]) -> None:
    """Raise, without a path, unless the arrays at the positions `alike` have one shape and the first is floating or complex.

    Runs only while a rule is traced, so checking costs nothing in a step; `explain` finds the path afterwards.
    """
    shapes = {x.shape for k, x in enumerate(leaf) if k in alike}
    if len(shapes) > 1 or not jnp.issubdtype(leaf[0].dtype, jnp.inexact):
        raise ValueError("leaves do not match")


def refuse_broadcast(first: jax.Array, results: Iterable[tuple[Any, Any]]) -> None:
    """Raise if a result of a rule is larger than the updates, or is not of the shape of the part of the state it replaces.

    Args:
      first: the array of the first tree.
      results: pairs of a result and what it replaces.
    """
    for new, old in results:
        if old is first:
            if new.size > old.size:
                raise ValueError(f"Updates of shape {old.shape} would become {new.shape}.")
            continue
        shapes, expected = jax.tree.map(np.shape, new), jax.tree.map(np.shape, old)
        if shapes != expected:
            raise ValueError(f"A part of the state of shape {expected} would become {shapes}.")


def explain(names: Sequence[str], trees: Sequence[Any], alike: Container[int], advice: str | None = None) -> None:
    """Raise an error that names the first leaf, by path, for which a rule cannot work; return if there is none.

    Args:
      names: of the parameters of the rule.
      trees: one for each of them.
      alike: the positions of the trees that have the shapes of the first.
      advice: see `lift`.
    """
    words = [_word(name) if advice is None else name for name in names]
    _check_floats(words[0], trees[0])
    for k, (word, tree) in enumerate(zip(words[1:], trees[1:], strict=False), start=1):
        hint = _hint(word) if advice is None else advice
        _Comparison(words[0], word, hint, shapes=k in alike, floats=advice is not None).check(trees[0], tree)


def check_same(advice: str, **trees: Any) -> None:
    """Raise `ValueError` by path unless trees, which the errors call by their keywords, have the shapes of the first."""
    (lead, first), *others = trees.items()
    for word, tree in others:
        _Comparison(lead, word, advice).check(first, tree)


def shapes_seen(names: Sequence[str], trees: Sequence[Any], rule: Callable[..., Any], scalars: Any) -> str:
    """Return sentences that name the first leaf with which `rule` fails, and the shapes there.

    Of parts of the state that are of other shapes than the updates, only the rule knows which these may be.
    """
    leaves, structure = tree_flatten_with_path(trees[0], is_leaf=is_hole)
    rest = [structure.flatten_up_to(tree) for tree in trees[1:]]
    for (path, leaf), *others in zip(leaves, *rest, strict=True):
        row = (leaf, *others)
        try:
            if not is_hole(leaf):
                jax.eval_shape(rule, *row, **scalars)
        except Exception:
            shapes = (f"{_word(name)} {jax.tree.map(np.shape, part)}" for name, part in zip(names, row, strict=False))
            where = keystr(path) or "a lone array"
            return f"the rule fails at {where}, with the shapes {', '.join(shapes)}. Was the state made for other params?"
    return "the rule fails."


@contextmanager
def explaining(**trees: Any) -> Iterator[None]:
    """Let a failure within be explained by trees of arrays that do not match, named as the parameters of a rule: `g`, `p`, `m`.

    For what works on trees without `lift`, which explains by itself.
    """
    try:
        yield
    except Exception:
        (lead, first), *others = ((_word(name), tree) for name, tree in trees.items())
        _check_floats(lead, first)
        for word, tree in others:
            _Comparison(lead, word, _hint(word), floats=True).check(first, tree)
        raise


# --- the arguments of init and update -----------------------------------------------------------------------------------


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
    checks = (
        lambda: _check_state(init, updates, state, params),
        lambda: check_arrays("updates", updates),
        lambda: check_arrays("params", params),
    )
    _explain_arguments(owner, error, *checks)


def explain_init(owner: str, error: Exception, params: Any) -> None:
    """Raise `TypeError` if the parameters that an `init` failed with hold something other than arrays; see `explain_update`."""
    _explain_arguments(owner, error, lambda: check_arrays("params", params))


def check_params(params: Any) -> None:
    """Raise `TypeError` by path unless every leaf of `params` is a floating-point or complex array."""
    _check_floats("params", params)


def check_arrays(word: str, tree: Any) -> None:
    """Raise `TypeError` by path unless every leaf of a tree, which the errors call `word`, is an array or a number."""
    _check_leaves(_check_array, word, tree)


def _explain_arguments(owner: str, error: Exception, *checks: Callable[[], None]) -> None:
    if not errors.settle(owner, error):
        return
    try:
        for check in checks:
            check()
    except TypeError as explanation:
        errors.settle(owner, explanation)
        raise explanation from error


def _check_state(init: Callable[[Any], Any], updates: Any, state: Any, params: Any) -> None:
    """Raise `TypeError` if the state is clearly not one that `init` makes. Its parts are left to those they belong to."""
    expected = _expected(init, params, updates)
    if expected is None or expected == () or _has_kind_of(state, expected):
        return
    message = f"the state is {_kind_and_parts(state)}, not {_kind_and_parts(expected)} as init makes it."
    raise unnamed(TypeError, f"{message} {_hint_for_state(updates, state)}")


def _expected(init: Callable[[Any], Any], *likely: Any) -> Any:
    """The state that `init` makes of the first tree of which it makes one: the arguments may be in the wrong order."""
    for tree in likely:
        if tree is not None:
            try:
                return jax.eval_shape(init, tree)
            except Exception:
                continue
    return None


def _has_kind_of(state: Any, expected: Any) -> bool:
    """Whether both are NamedTuples of the same fields (Optax's, too), or both are the same but not NamedTuples."""
    fields, expected_fields = (getattr(each, "_fields", None) for each in (state, expected))
    if fields is not None or expected_fields is not None:
        return fields == expected_fields
    if isinstance(expected, tuple | list):  # checkpoints may have made a list of a tuple
        return isinstance(state, tuple | list) and len(state) == len(expected)
    if isinstance(expected, dict):
        return isinstance(state, dict) and state.keys() == expected.keys()
    return jax.tree_util.all_leaves([expected]) == jax.tree_util.all_leaves([state])


def _hint_for_state(updates: Any, state: Any) -> str:
    if state is None or is_function(state):
        return f"Make one before the first step, state = tx.init(params), and pass it on: {_CALL}."
    if jax.tree.structure(state) == jax.tree.structure(updates):
        return f"It has the structure of the updates: call {_CALL}, in this order."
    return "Is it the state of another optimizer?"


# --- leaves, nodes and words --------------------------------------------------------------------------------------------


def _word(name: str) -> str:
    return _WORDS.get(name, f"state {name}")


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in tree_flatten_with_path(tree, is_leaf=is_hole)[0]:
        if not is_hole(leaf):
            yield keystr(path), leaf


def _check_floats(word: str, tree: Any) -> None:
    _check_leaves(_check_float, word, tree)


def _check_leaves(check: Callable[[str, Any], None], word: str, tree: Any) -> None:
    # One leaf of each kind first: to write the paths of a thousand takes as long as all else that `init` does.
    kinds = {(type(leaf), getattr(leaf, "dtype", None)): leaf for leaf in jax.tree.leaves(tree)}
    try:
        for leaf in kinds.values():
            check(word, leaf)
    except TypeError:
        for path, leaf in _leaves(tree):
            check(f"{word}{path}", leaf)


def _check_array(where: str, leaf: Any) -> None:
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct | float | complex | int):
        raise unnamed(
            TypeError,
            f"{where} is not an array but {_kind(leaf)}. Pass the arrays only "
            "(equinox: eqx.filter(model, eqx.is_inexact_array)), with None in place of the rest.",
        )


def _check_float(where: str, leaf: Any) -> None:
    _check_array(where, leaf)
    dtype = jnp.result_type(leaf)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise unnamed(
            TypeError,
            f"{where} has dtype {dtype}, and only floating-point and complex arrays are optimized. "
            "Leave it out with masked(...), or put None in its place.",
        )


class _Comparison(NamedTuple):
    """A tree, called `word` in the errors, that must be like the first, called `lead`."""

    lead: str
    word: str
    advice: str
    shapes: bool = True
    floats: bool = False

    def fault(self, message: str) -> Exception:
        return unnamed(ValueError, f"{message} {self.advice}".rstrip())

    def check(self, first: Any, second: Any, path: str = "") -> None:
        """Raise by path unless `second` has the containers (and the `shapes`) of `first`, wherever that has no hole."""
        if is_hole(first):
            return
        here, there = f"{self.lead}{path}", f"{self.word}{path}"
        if is_hole(second):
            raise self.fault(f"{here} is {_kind(first)}, but {there} is a hole ({second!r}).")
        if not self.shapes and all_leaves([first]):
            return
        if all_leaves([first, second]):
            (_check_float if self.floats else _check_array)(there, second)
            if np.shape(first) != np.shape(second):
                raise self.fault(f"{here} has shape {np.shape(first)}, but {there} has shape {np.shape(second)}.")
        elif type(first) is not type(second):
            raise self.fault(f"{here} is {_kind(first)}, but {there} is {_kind(second)}.")
        else:
            ours, theirs = _children(first), _children(second)
            for step in ours:
                if step not in theirs:
                    raise self.fault(f"{here}{step} has no counterpart in {there}, which {_has(theirs)}.")
            for step in theirs:
                if step not in ours:
                    raise self.fault(f"{there}{step} has no counterpart in {here}, which {_has(ours)}.")
            for step, child in ours.items():
                self.check(child, theirs[step], path + step)


def _children(node: Any) -> dict[str, Any]:
    below = tree_flatten_with_path(node, is_leaf=lambda child: child is not node)[0]
    return {keystr(step): child for step, child in below}


def _has(children: dict[str, Any]) -> str:
    steps = list(children)
    return f"has {', '.join(steps[:5])}{', ...' if len(steps) > 5 else ''}" if steps else "is empty"


def _hint(word: str) -> str:
    if word == "params":
        return "Are params and updates in the right order: update(updates, state, params)?"
    return MADE_FOR_OTHERS if word.startswith("state") else ""


def _kind(value: Any) -> str:
    if hasattr(value, "shape"):
        return "an array"
    return f"a function, {value.__name__}" if hasattr(value, "__name__") else f"a {type(value).__name__}"


def _kind_and_parts(state: Any) -> str:
    """The node that a state is, with what is directly below it."""
    if state is None:
        return "None"
    if is_function(state):
        return f"a function, {getattr(state, '__name__', type(state).__name__)}"
    if is_namedtuple(state):
        return type(state).__name__
    if isinstance(state, tuple | list):
        return f"a {type(state).__name__} of {_some(type(part).__name__ for part in state)}"
    return f"a dict of {_some(map(repr, state))}" if isinstance(state, dict) else _kind(state)


def _some(words: Iterable[str]) -> str:
    words = list(words)
    return ", ".join(words[:5] + ["..."] * (len(words) > 5)) or "nothing"
