"""Which parameters decay: all but the scales of norms and the biases."""

import re
from typing import Any

import jax
import numpy as np

from gradtx.core import Params
from gradtx.tree.paths import path_of

# The last part of a path without its box, or the one above it.
_NAMES = re.compile(r"(bias|scale|gamma|beta)$|(^|/)(\w*norm[_\d]*|ln(_?\d+|_\w+)?)/[^/]*$")
_CLASSES = re.compile(r"(layer|rms|group|batch|instance)norm(\dd)?$")


def all_but_norms_and_biases(params: Params) -> Any:
    """Mask that is True for what decays: every parameter but the biases, and the scales of norms.

        adamw(1e-3, weight_decay=0.1, mask=all_but_norms_and_biases)

    It is False for

    - arrays of one axis or none, whatever they are called: the usual criterion. It takes in class tokens, but no position
      embeddings, which have two axes or more;
    - arrays of more axes that are a norm's or a bias by name, as in stacked layers (`nn.scan`) or the biases of attention in
      Flax: a path that ends with bias, scale, gamma or beta, or whose last part but one is a norm, such as `norm1`,
      `layer_norm`, `LayerNorm_0`, `ln_f`;
    - what is within an object whose class is called LayerNorm, RMSNorm, GroupNorm, BatchNorm or InstanceNorm, as in Equinox.

    Stacked layers whose names say nothing need a mask of their own, such as `not_matching("layers/b", ...)`.

    Args:
      params: a tree of arrays, or of what has their shapes.
    """
    return jax.tree_util.tree_map_with_path(_decays, params, is_leaf=_is_norm)


def _decays(keys: Any, node: Any) -> Any:
    if _is_norm(node):
        return jax.tree.map(lambda _: False, node)
    path = path_of(keys).replace(".", "/").removesuffix("/value").lower()
    return np.ndim(node) > 1 and _NAMES.search(path) is None


def _is_norm(node: Any) -> bool:
    return _CLASSES.search(type(node).__name__.lower()) is not None
