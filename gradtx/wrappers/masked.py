"""Masks of transformations: `masked`, and masks made of patterns on paths."""

from collections.abc import Callable
from typing import Any

from gradtx.core import (
    GradientTransformationExtraArgs,
    Params,
    Transformation,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.tree.masks import Mask, evaluate_mask, mask_out, through_mask
from gradtx.tree.paths import places, with_leaves
from gradtx.tree.patterns import Pattern, check_pattern, first_matches, may_match
from gradtx.tree.unmatched import is_whole, nothing_matches


@factory
def masked(inner: Transformation, mask: Mask, *, mask_compatible_extra_args: bool = False) -> GradientTransformationExtraArgs:
    """Apply `inner` where the mask is True; updates pass unchanged where it is False.

    There, `inner` sees a `MaskedNode` instead of params and updates, and its state has one too.

    Args:
      inner: a transformation.
      mask: a tree of bools with the structure of the params, or a prefix of it: a bool above the leaves speaks for all
        below. Or a function that returns one; it is called with the params and, in `update`, with the updates, so it may
        look at structure, names and shapes, but not at values. `matching` makes one of patterns on paths.
      mask_compatible_extra_args: whether extra arguments that have the structure of the updates are masked, too.

    Raises:
      TypeError: a leaf of the mask is not a bool (when built, if the mask is not a function).
      ValueError: the mask does not match the tree.
    """
    return behind_mask(inner, mask, mask_compatible_extra_args)


def behind_mask(inner: Transformation, mask: Mask, mask_extra_args: bool = False) -> GradientTransformationExtraArgs:
    """Make the pair of functions of `masked`."""
    inner = with_extra_args_support(inner)

    def visible_params(params: Params) -> list[Params]:
        return [mask_out(evaluate_mask(mask, params), params)]

    init, update = through_mask(mask, *inner, mask_extra_args=mask_extra_args)
    return GradientTransformationExtraArgs(init, forwards_to(inner, seen=visible_params)(update))


@factory
def matching(*patterns: Pattern) -> Callable[[Any], Any]:
    """Make a mask that is True for the leaves whose path matches one of the patterns.

        masked(muon(0.02), matching("layers/#/**/kernel"))
        chain(adam(1e-3), freeze(matching("backbone/**", re.compile(r"head/norm\\d"))))

    It serves wherever a mask is asked for. A path is made of keys, attributes and indices, such as "layers/0/attention/bias"; a
    variable of Flax's nnx adds no "value" to it.

    Args:
      *patterns: each one
        - a glob: within one part of the path `*` is any text, `?` any character, `[abc]` one of them, `[!abc]` any other and
          `#` a whole number; `**` is any number of parts, none as well;
        - a regular expression, made by `re.compile`, which matches the whole path;
        - a function `(path, leaf) -> bool`, which may look at the shape of the leaf, but not at its values;
        - a tuple of patterns: any of them.

    Raises:
      TypeError: a pattern is none of these, or a function returned no bool.
      ValueError: when the mask is used, if a pattern matches nothing. Within `masked` and the like some leaves are masked, and
        what is matched may be one of them: then it is not an error.
    """
    return _mask("matching", patterns, True)


@factory
def not_matching(*patterns: Pattern) -> Callable[[Any], Any]:
    """Make a mask that is False for the leaves whose path matches one of the patterns, and True for all others.

        adamw(1e-3, weight_decay=0.1, mask=not_matching("**/bias", "**/scale"))

    Args:
      *patterns: see `matching`.

    Raises:
      TypeError, ValueError: as `matching`.
    """
    return _mask("not_matching", patterns, False)


def _mask(owner: str, patterns: tuple[Pattern, ...], where_matched: bool) -> Callable[[Any], Any]:
    if not patterns:
        raise ValueError(f"{owner} needs a pattern, such as {owner}('**/bias').")
    check_pattern(patterns)

    def mask(tree: Any) -> Any:
        leaves = places(tree)
        for pattern in patterns if is_whole(leaves) else ():
            if not may_match(pattern, leaves):  # whoever the mask is for, the pattern is its own mistake
                raise ValueError(f"{owner}: {nothing_matches(pattern, leaves)}")
        return with_leaves(tree, [(match is not None) is where_matched for match in first_matches(patterns, leaves)])

    return mask
