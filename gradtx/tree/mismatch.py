"""Say by path what is wrong with the trees that a rule was given."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.tree.holes import is_hole

_WORDS = {"g": "updates", "u": "updates", "p": "params"}


def refuse(leaf: Sequence[Any]) -> None:
    """Raise, without a path, unless the arrays of one leaf have one shape and the first is floating or complex.

    Runs only while a rule is traced, so checking costs nothing in a step; `explain` finds the path afterwards.
    """
    if len({x.shape for x in leaf}) > 1 or not jnp.issubdtype(leaf[0].dtype, jnp.inexact):
        raise ValueError("leaves do not match")


def explain(owner: str, names: Sequence[str], trees: Sequence[Any]) -> None:
    """Raise an error that names the first leaf, by path, for which a rule cannot work; return if there is none."""
    words = [_WORDS.get(name, f"state {name}") for name in names]
    lead, first = words[0], dict(_leaves(trees[0]))
    for path, leaf in first.items():
        if not is_hole(leaf):
            _check_float(owner, f"{lead}{path}", leaf)
    for word, tree in zip(words[1:], trees[1:], strict=False):
        _check_same(owner, lead, first, word, dict(_leaves(tree)))
        if jax.tree.structure(trees[0], is_leaf=is_hole) != jax.tree.structure(tree, is_leaf=is_hole):
            _check_containers(owner, lead, trees[0], word, tree)


def check_params(owner: str, params: Any) -> None:
    """Raise `TypeError` by path unless every leaf of `params` is a floating-point or complex array."""
    for path, leaf in _leaves(params):
        if not is_hole(leaf):
            _check_float(owner, f"params{path}", leaf)


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_hole)[0]:
        yield jax.tree_util.keystr(path), leaf


def _check_float(owner: str, where: str, leaf: Any) -> None:
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct | float | complex | int):
        raise TypeError(
            f"{owner}: {where} is not an array but {_kind(leaf)}. Pass the arrays only "
            "(equinox: eqx.filter(model, eqx.is_inexact_array)), with None in place of the rest."
        )
    dtype = jnp.result_type(leaf)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(
            f"{owner}: {where} has dtype {dtype}, and only floating-point and complex arrays are optimized. "
            "Leave it out with masked(...), or put None in its place."
        )


def _check_same(owner: str, lead: str, first: dict[str, Any], word: str, second: dict[str, Any]) -> None:
    holes = tuple(path for path, leaf in first.items() if is_hole(leaf))
    for path, leaf in first.items():
        if is_hole(leaf):
            continue
        if path not in second:
            raise ValueError(f"{owner}: {lead}{path} has no counterpart in {word}, {_has(second)}.{_advice(word)}")
        other = second[path]
        if is_hole(other):
            raise ValueError(f"{owner}: {lead}{path} is an array, but {word}{path} is a hole ({other!r}).{_advice(word)}")
        if word == "params":
            _check_float(owner, f"{word}{path}", other)
        if not hasattr(other, "shape") or np.shape(other) != np.shape(leaf):
            got = f"shape {np.shape(other)}" if hasattr(other, "shape") else _kind(other)
            raise ValueError(f"{owner}: {lead}{path} has shape {np.shape(leaf)}, but {word}{path} has {got}.{_advice(word)}")
    for path in second:
        if path not in first and not path.startswith(holes):
            raise ValueError(f"{owner}: {word}{path} has no counterpart in {lead}, {_has(first)}.{_advice(word)}")


def _check_containers(owner: str, lead: str, first: Any, word: str, second: Any) -> None:
    one, two = jax.tree.structure(first, is_leaf=is_hole), jax.tree.structure(second, is_leaf=is_hole)
    if not any(is_hole(leaf) for leaf in jax.tree.leaves(first, is_leaf=is_hole)):
        raise ValueError(f"{owner}: {lead} and {word} are made of different containers: {one} and {two}.{_advice(word)}")


def _has(leaves: dict[str, Any]) -> str:
    paths = [path or "one array" for path in leaves]
    return f"which has {', '.join(paths[:5])}{', ...' if len(paths) > 5 else ''}" if paths else "which is empty"


def _advice(word: str) -> str:
    if word == "params":
        return " Are params and updates in the right order: update(updates, state, params)?"
    return " Was the state made by init for other params?" if word.startswith("state") else ""


def _kind(value: Any) -> str:
    return f"a function, {value.__name__}" if hasattr(value, "__name__") else f"a {type(value).__name__}"
