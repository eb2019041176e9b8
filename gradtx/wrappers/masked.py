"""Apply a transformation to a part of the tree."""

from typing import Any

import jax

from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.tree.mask import Mask, MaskedState, check_mask, evaluate_mask, fill_masked, mask_out


@factory
def masked(
    inner: GradientTransformation, mask: Mask, *, mask_compatible_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Apply `inner` where the mask is True; updates pass unchanged where it is False.

    There, `inner` sees a `MaskedNode` in place of params and updates, and its state has one too.

    Args:
      inner: a transformation.
      mask: a tree of bools with the structure of the params, or a prefix of it: a bool above the leaves speaks for all
        below. Or a function that returns one; it is called with the params and, in `update`, with the updates, so it may
        look at structure, names and shapes, but not at values.
      mask_compatible_extra_args: whether extra arguments that have the structure of the updates are masked, too.

    Raises:
      TypeError: a leaf of the mask is not a bool (when built, if the mask is not a function).
      ValueError: the mask does not match the tree.
    """
    check_mask("masked", mask)
    inner = with_extra_args_support(inner)

    def seen(params: Params) -> Params:
        return mask_out(evaluate_mask("masked", mask, params), params)

    def init(params: Params) -> MaskedState:
        return MaskedState(inner.init(seen(params)))

    @forwards_to(inner)
    def update(updates: Updates, state: MaskedState, params: Params | None = None, **extra_args: Any):
        where = evaluate_mask("masked", mask, updates)
        if mask_compatible_extra_args:
            structure = jax.tree.structure(updates)
            extra_args = {
                name: mask_out(where, arg) if jax.tree.structure(arg) == structure else arg for name, arg in extra_args.items()
            }
        new_updates, inner_state = inner.update(
            mask_out(where, updates),
            state.inner_state,
            None if params is None else seen(params),
            **extra_args,
        )
        return fill_masked(where, new_updates, updates), MaskedState(inner_state)

    return GradientTransformationExtraArgs(init, update)
