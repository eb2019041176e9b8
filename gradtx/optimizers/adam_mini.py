"""Adam-mini (Zhang et al. 2024): Adam with one mean square for each block of a parameter."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    tells,
)
from gradtx.errors import unnamed
from gradtx.numerics import Count, abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.along import mean_along, sum_along
from gradtx.tree.holes import MaskedNode
from gradtx.tree.masks import Mask
from gradtx.tree.paths import places
from gradtx.tree.patterns import check_pattern, first_matches
from gradtx.tree.scopes import as_whole
from gradtx.tree.unmatched import is_whole, refuse_unmatched

BlockKind: TypeAlias = Literal["outputs", "inputs", "heads", "whole", "entries"]


class ScaleByAdamMiniState(NamedTuple):
    """Steps taken, mean of the gradient, mean of its square in each block."""

    count: Count
    mu: Updates
    nu: Updates


@factory
def scale_by_adam_mini(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    blocks: Mapping[Any, BlockKind] | None = None,
) -> GradientTransformation:
    """Adam-mini's rescaling: Adam's, with one mean square for each block of a parameter, which takes next to no memory.

        m ← b1·m + (1−b1)·g                              m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·mean of |g|² in the block      v̂ = v / (1−b2ᵗ)
        u = m̂ / (√v̂ + eps)

    Patterns of paths say what the blocks of a parameter are:

        {"**/query/kernel": "heads", "**/key/kernel": "heads",       kernels (inputs, heads, width)
         "embed/embedding": "inputs",                                an embedding (tokens, width): a block for each token
         "**/kernel": "outputs"}                                     kernels (inputs, outputs): a block for each neuron

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      b1, b2, eps, mu_dtype: as in `scale_by_adam`.
      blocks: by patterns (`matching` says what a pattern is), of which the first that matches a parameter counts: "outputs" for
        a block for each index of the last axis, "inputs" for each of the first, "heads" for each of the last but one, "whole"
        for one block, "entries" for a mean square of each entry, as in Adam and as what no pattern matches has. By default
        "outputs" for all that has two axes or more.

    Raises:
      TypeError: a key of `blocks` is not a pattern.
      ValueError: a value of `blocks` is another word, or (from `init`) a pattern matches nothing, or "heads" an array that has
        fewer than two axes.

    Conventions:
      The authors' code finds blocks by names of PyTorch's parameters, whose weights are (outputs, inputs): tokens for the
      embedding and the head, heads for queries and keys, neurons for values, projections and MLPs, the whole array for all else
      of a block of a transformer; a name that it does not know gets the whole array.

    References:
      Zhang et al., Adam-mini: Use Fewer Learning Rates To Gain More, 2024, https://arxiv.org/abs/2406.16793
    """
    tree.check_moment_dtype(mu_dtype)
    for pattern in blocks or {}:
        check_pattern(pattern)

    @functools.cache
    def rule_of(kind: BlockKind) -> Callable[..., Any]:
        @tree.lift(like="g m v", same_shapes="m")
        def rule(g, m, v, *, debias1, debias2):
            g, along = squarable(g), _axes(kind, g.ndim)
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (mean_along(abs_sq(g), along) if along else abs_sq(g))
            return m / debias1 / (jnp.expand_dims(safe_sqrt(v / debias2), along) + eps), m, v

        return rule

    def init(params: Params) -> ScaleByAdamMiniState:
        nu = zeros = tree.moment_like(params, real=True)
        kinds = _kinds(blocks, zeros)
        for kind in _found(kinds):
            starts = tree.map_leaves(functools.partial(_start, kind=kind), _only(kind, kinds, zeros))
            nu = _filled(starts, nu)
        return ScaleByAdamMiniState(jnp.zeros((), jnp.int32), tree.moment_like(params, mu_dtype), nu)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleByAdamMiniState, params: Params | None = None):
        count = safe_increment(state.count)
        weights: dict[str, Any] = {"debias1": debias(b1, count), "debias2": debias(b2, count)}
        kinds, new_updates, mu, nu = _kinds(blocks, updates), updates, state.mu, state.nu
        for kind in _found(kinds):
            steps, mu, nu = rule_of(kind)(_only(kind, kinds, updates), mu, nu, **weights)
            new_updates = _filled(steps, new_updates)
        return new_updates, ScaleByAdamMiniState(count, mu, nu)

    return GradientTransformation(init, update)


def _kinds(blocks: Mapping[Any, BlockKind] | None, like: Any) -> list[BlockKind | None]:
    """What the blocks of each leaf of a tree are; None for a hole."""
    leaves = places(as_whole(like))
    if blocks is None:
        return [None if tree.is_hole(leaf) else "outputs" if leaf.ndim >= 2 else "entries" for _, leaf in leaves]
    if is_whole(leaves):
        refuse_unmatched(blocks, leaves)
    matches = first_matches([*blocks], leaves)
    told: list[BlockKind] = [*blocks.values()]
    kinds: list[BlockKind | None] = []
    for (path, leaf), match in zip(leaves, matches, strict=True):
        kind: BlockKind = "entries" if match is None else told[match[0]]
        if not tree.is_hole(leaf) and kind == "heads" and leaf.ndim < 2:
            raise unnamed(ValueError, f"blocks: {path!r} has no heads: its shape is {leaf.shape}.")
        kinds.append(None if tree.is_hole(leaf) else kind)
    return kinds


def _found(kinds: Sequence[BlockKind | None]) -> list[BlockKind]:
    """The kinds that there are, each once."""
    return list(dict.fromkeys(kind for kind in kinds if kind is not None))


def _axes(kind: BlockKind, ndim: int) -> tuple[int, ...]:
    """The axes that a block extends along."""
    kept = {"outputs": ndim - 1, "inputs": 0, "heads": ndim - 2, "whole": None}
    return () if kind == "entries" else tuple(axis for axis in range(ndim) if axis != kept[kind])


def _start(zero: jax.Array, kind: BlockKind) -> jax.Array:
    along = _axes(kind, zero.ndim)
    return sum_along(zero, along) if along else zero  # a sum, so that shards of the axes left stay


def _only(kind: BlockKind, kinds: Sequence[BlockKind | None], arrays: Any) -> Any:
    """The leaves that have blocks of a kind, and masked leaves instead of the others."""
    leaves, structure = jax.tree.flatten(arrays, is_leaf=tree.is_hole)
    return structure.unflatten(leaf if its == kind else MaskedNode() for leaf, its in zip(leaves, kinds, strict=True))


def _filled(part: Any, whole: Any) -> Any:
    """`part`, with the leaves of `whole` where it has none."""
    return jax.tree.map(lambda x, other: other if tree.is_hole(x) else x, part, whole, is_leaf=tree.is_hole)


@factory
def adam_mini(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    *,
    blocks: Mapping[Any, BlockKind] | None = None,
) -> GradientTransformationExtraArgs:
    """Adam-mini: AdamW with one mean square for each block of a parameter, and so half of its memory.

        Δp = −η·( m̂ / (√v̂ + eps) + weight_decay·p )        v̂ of a block, see `scale_by_adam_mini`

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, mu_dtype, blocks: as in `scale_by_adam_mini`.
      weight_decay, mask: as in `adamw`.

    References:
      Zhang et al., 2024, https://arxiv.org/abs/2406.16793
    """
    return chain(
        scale_by_adam_mini(b1, b2, eps, mu_dtype, blocks=blocks),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
