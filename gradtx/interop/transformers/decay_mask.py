"""Which parameters decay in the Trainer of transformers."""

import re
from typing import Any

import jax
from jax.tree_util import keystr

from gradtx.core import Params

# The Trainer's own patterns, then what it knows by the class of a layer.
_PATTERNS = (
    r"bias",
    r"layernorm",
    r"rmsnorm",
    r"(^|[/_])norm\d*(/|$)",
    r"(^|/)ln(_[^/]*|[^/]?)(/|$)",  # ln, ln1, ln_1, ln_f
    r"(^|/)scale(/|$)",  # of any norm of Flax
)
_NOT_DECAYED = re.compile("|".join(_PATTERNS))


def decay_mask(params: Params) -> Any:
    """Return a tree of bools: False for the biases and the norms of layers, which do not decay in the Trainer.

    The Trainer leaves out the parameters of `torch.nn.LayerNorm`, and those whose path says "bias", "layernorm" or "rmsnorm"
    anywhere, or has a part that is "norm" or ends with "_norm", in letters of any case. In trees of JAX the classes of layers
    are mostly lost, so that besides these are left out

    - what is within an object whose class is called ...LayerNorm or ...RMSNorm, as in equinox;
    - a path with a part that is "norm" and a number, or "ln" and at most a letter, a digit, or more after an underscore:
      `norm1`, `layer_norm2`, `ln`, `ln_1`, `ln_f`;
    - a parameter called "scale", as all norms of Flax have; in norms of batches or groups too, where the Trainer decays it.

    Paths are keys, attributes and indices joined by slashes, such as `blocks/0/ln_1/scale`; a slash or a dot within a key
    parts it as well. An embedding decays, as it does there.

    Args:
      params: a tree, such as dicts of Flax, the `nnx.State` of a model, or the arrays of an equinox module.
    """
    return jax.tree_util.tree_map_with_path(_decays, params, is_leaf=_is_norm)


def _decays(path: Any, node: Any) -> Any:
    if _is_norm(node):
        return jax.tree.map(lambda _: False, node)
    name = keystr(path, simple=True, separator="/").replace(".", "/").lower()
    return _NOT_DECAYED.search(name) is None


def _is_norm(node: Any) -> bool:
    return type(node).__name__.lower().endswith(("layernorm", "rmsnorm"))
