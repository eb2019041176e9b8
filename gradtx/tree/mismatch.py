"""Say by path what is wrong with the trees that a rule was given."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import all_leaves, keystr, tree_flatten_with_path

from gradtx.errors import named
from gradtx.tree.holes import is_hole

MADE_FOR_OTHERS = "Was the state made by init for other params?"

_WORDS = {"g": "updates", "u": "updates", "p": "params"}


def refuse(leaf: Sequence[Any], names: Sequence[str], same_shapes: bool = True) -> None:
    """Raise, without a path, unless the arrays of one leaf have one shape and the first is floating or complex.

    Runs only while a rule is traced, so checking costs nothing in a step; `explain` finds the path afterwards.
    """
    alike = leaf if same_shapes else [x for x, name in zip(leaf, names, strict=True) if name in _WORDS]
    if len({x.shape for x in alike}) > 1 or not jnp.issubdtype(leaf[0].dtype, jnp.inexact):
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


def explain(
    owner: str, names: Sequence[str], trees: Sequence[Any], same_shapes: bool = True, advice: str | None = None
) -> None:
    """Raise an error that names the first leaf, by path, for which a rule cannot work; return if there is none.

    Args:
      owner: the transformation.
      names: of the parameters of the rule.
      trees: one for each of them.
      same_shapes: whether parts of the state have the shapes of the updates.
      advice: see `lift`.
    """
    words = [_word(name) if advice is None else name for name in names]
    for path, leaf in _leaves(trees[0]):
        if not is_hole(leaf):
            _check_float(owner, f"{words[0]}{path}", leaf)
    for name, word, tree in zip(names[1:], words[1:], trees[1:], strict=False):
        hint = _advice(word) if advice is None else advice
        _Comparison(owner, words[0], word, same_shapes or name in _WORDS, hint).check(trees[0], tree)


def check_same(owner: str, advice: str, **trees: Any) -> None:
    """Raise `ValueError` by path unless trees, which the errors call by their keywords, have the shapes of the first."""
    (lead, first), *others = trees.items()
    for word, tree in others:
        _Comparison(owner, lead, word, True, advice).check(first, tree)


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
def explaining(owner: str, **trees: Any) -> Iterator[None]:
    """Let a failure within be explained by trees that do not match, named as the parameters of a rule: `g`, `p`, `m`.

    For what works on trees without `lift`, which explains by itself.
    """
    try:
        yield
    except Exception:
        explain(owner, list(trees), list(trees.values()))
        raise


def check_params(owner: str, params: Any) -> None:
    """Raise `TypeError` by path unless every leaf of `params` is a floating-point or complex array."""
    for path, leaf in _leaves(params):
        if not is_hole(leaf):
            _check_float(owner, f"params{path}", leaf)


def check_arrays(owner: str, word: str, tree: Any) -> None:
    """Raise `TypeError` by path unless every leaf of a tree, which the errors call `word`, is an array or a number."""
    for path, leaf in _leaves(tree):
        if not is_hole(leaf):
            _check_array(owner, f"{word}{path}", leaf)


def _word(name: str) -> str:
    return _WORDS.get(name, f"state {name}")


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in tree_flatten_with_path(tree, is_leaf=is_hole)[0]:
        yield keystr(path), leaf


def _check_array(owner: str, where: str, leaf: Any) -> None:
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct | float | complex | int):
        raise named(
            TypeError,
            owner,
            f"{where} is not an array but {_kind(leaf)}. Pass the arrays only "
            "(equinox: eqx.filter(model, eqx.is_inexact_array)), with None in place of the rest.",
        )


def _check_float(owner: str, where: str, leaf: Any) -> None:
    _check_array(owner, where, leaf)
    dtype = jnp.result_type(leaf)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise named(
            TypeError,
            owner,
            f"{where} has dtype {dtype}, and only floating-point and complex arrays are optimized. "
            "Leave it out with masked(...), or put None in its place.",
        )


class _Comparison(NamedTuple):
    """A tree, called `word` in the errors, that must be like the first, called `lead`."""

    owner: str
    lead: str
    word: str
    shapes: bool
    advice: str

    def fault(self, message: str) -> Exception:
        return named(ValueError, self.owner, f"{message} {self.advice}".rstrip())

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
            if self.word == "params":
                _check_float(self.owner, there, second)
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


def _advice(word: str) -> str:
    if word == "params":
        return "Are params and updates in the right order: update(updates, state, params)?"
    return MADE_FOR_OTHERS if word.startswith("state") else ""


def _kind(value: Any) -> str:
    if hasattr(value, "shape"):
        return "an array"
    return f"a function, {value.__name__}" if hasattr(value, "__name__") else f"a {type(value).__name__}"
