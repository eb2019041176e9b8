"""Apply a transformation to a part of the tree."""

from gradtx.core import (
    GradientTransformationExtraArgs,
    Params,
    Transformation,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.tree.mask import Mask, evaluate_mask, mask_out, through_mask


@factory
def masked(inner: Transformation, mask: Mask, *, mask_compatible_extra_args: bool = False) -> GradientTransformationExtraArgs:
    """Apply `inner` where the mask is True; updates pass unchanged where it is False.

    There, `inner` sees a `MaskedNode` in place of params and updates, and its state has one too.

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

    def seen(params: Params) -> list[Params]:
        return [mask_out(evaluate_mask(mask, params), params)]

    init, update = through_mask(mask, *inner, mask_extra_args=mask_extra_args)
    return GradientTransformationExtraArgs(init, forwards_to(inner, seen=seen)(update))
