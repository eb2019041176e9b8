"""Parameters that do not move."""

from typing import Any

import jax

from gradtx.core import GradientTransformationExtraArgs, Transformation, factory, set_to_zero
from gradtx.tree.masks import Mask, check_mask, evaluate_mask
from gradtx.wrappers.masked import behind_mask
from gradtx.wrappers.partition import partition


@factory
def freeze(mask: Mask) -> GradientTransformationExtraArgs:
    """Set the updates to zero where the mask is True; put it last in the chain. The members before it still keep their moments.

    `selective_transform` keeps none.

    Args:
      mask: which parameters are frozen; see `masked`.
    """
    return behind_mask(set_to_zero(), mask)


@factory
def selective_transform(optimizer: Transformation, *, freeze_mask: Mask) -> GradientTransformationExtraArgs:
    """Optimize where the mask is False; what is frozen has no moments, and its updates are zero.

    Args:
      optimizer: a transformation.
      freeze_mask: which parameters are frozen; see `masked`.

    Raises:
      TypeError: a leaf of the mask is not a bool (when built, if the mask is not a function).
      ValueError: the mask does not match the tree.
    """
    check_mask(freeze_mask, "freeze_mask")

    def labels(tree: Any) -> Any:
        mask = evaluate_mask(freeze_mask, tree, "freeze_mask")
        return jax.tree.map(lambda frozen: "freeze" if frozen else "train", mask)

    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)
