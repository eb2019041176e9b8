"""Learning rates that decay from the last layer to the first (Clark et al. 2020, Bao et al. 2022)."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import EmptyState, GradientTransformation, Params, Updates, factory
from gradtx.errors import unnamed
from gradtx.require import Range
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.paths import places, with_leaves
from gradtx.tree.patterns import Match, Pattern, check_pattern, first_matches, shown
from gradtx.tree.unmatched import refuse_unmatched, refuse_unused


@factory(decay=Range(low=0, high=1))
def scale_by_layer_decay(decay: float | jax.Array, layers: Sequence[Pattern]) -> GradientTransformation:
    """Layer-wise learning rate decay: the nearer a layer is to the input, the smaller its steps.

        u = decay^(n − l) · g        in layer l of n, counted from the input

        chain(adamw(1e-3), scale_by_layer_decay(0.75, ["embed/**", "layers/#/**", ("norm/**", "head/**")]))

    Put it last in the chain, so that it scales the learning rate of each layer, and decoupled weight decay with it. Inside of
    `masked` or `partition`, layers that are not seen there count as well, if the mask speaks for each leaf.

    Args:
      decay: the quotient of the steps of two neighbours, from 0 to 1.
      layers: patterns from the input to the output; `matching` says what a pattern is. One with `#` stands for as many layers
        as there are numbers in its place, in their order, and so does a regular expression with groups; any other for one. The
        first that matches a leaf counts.

    Conventions:
      The last layer has the factor 1 and the one before it `decay`, as in BEiT; in ELECTRA's code one more power lies between
      the head and the last layer of the encoder.

    Raises:
      TypeError: `layers` is not a list of patterns.
      ValueError: when it is used, if no pattern matches some leaf, or if a pattern matches nothing.

    References:
      Clark et al., ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators, 2020,
        https://arxiv.org/abs/2003.10555
      Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2022, https://arxiv.org/abs/2106.08254
    """
    if not isinstance(layers, list | tuple) or not layers:
        raise unnamed(TypeError, f"layers is a list of patterns, such as ['embed/**', 'layers/#/**']; got {layers!r}.")
    patterns = tuple(layers)
    check_pattern(patterns)

    @tree.lift(like="g", same_shapes=False)
    def rule(g, factor):
        return factor * g

    def factors(updates: Updates) -> Any:
        """A scalar for each leaf, which enters the rule as an array: it is traced once a shape, not once a layer."""

        @functools.cache
        def factor(distance: int, dtype: Any) -> jax.Array:
            return jnp.asarray(decay**distance, dtype)

        leaves = places(updates)
        scalars = [
            None if distance is None or tree.is_hole(leaf) else factor(distance, working_dtype([leaf]))
            for (_, leaf), distance in zip(leaves, _distances(patterns, leaves), strict=True)
        ]
        return with_leaves(updates, scalars)

    def init(params: Params) -> EmptyState:
        _distances(patterns, places(params))  # raises if they do not match
        return EmptyState()

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return rule(updates, factors(updates)), state

    return GradientTransformation(init, update)


def _distances(patterns: tuple[Pattern, ...], leaves: Sequence[tuple[str, Any]]) -> list[int | None]:
    """How many layers come after that of each leaf; None for a hole that no pattern matches."""
    matches = first_matches(patterns, leaves)
    layers = {match for match in matches if match is not None}
    unused = sorted(set(range(len(patterns))) - {position for position, _ in layers}) if leaves else []
    refuse_unmatched([patterns[position] for position in unused], leaves)
    for (path, leaf), match in zip(leaves, matches, strict=True):
        if match is None and not tree.is_hole(leaf):
            raise unnamed(ValueError, f"no layer has {path!r}; the patterns are {', '.join(map(shown, patterns))}.")
    for position in unused:
        refuse_unused(patterns[position], leaves)
    layers |= {(position, ()) for position in unused}  # a function may have its layer where there are holes now
    distances = {layer: distance for distance, layer in enumerate(sorted(layers, key=_order, reverse=True))}
    return [None if match is None else distances[match] for match in matches]


def _order(layer: tuple[int, Match]) -> Any:
    """By the place of the pattern, then by what it has found: numbers before words."""
    position, found = layer
    return position, [(isinstance(part, str), part) for part in found]
