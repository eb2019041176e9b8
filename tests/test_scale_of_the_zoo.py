"""Every transformation of the zoo computes on parts, on stacks and with a divided state what it does on the whole.

How states lie is tried on all functions. Of the other laws one sample of each family is tried, and one of each way to reduce;
all laws on all samples, as CI does once a week, by

    WHOLE_ZOO=1 pytest tests/test_scale_of_the_zoo.py
"""

import os

import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from chosen_laws import LAWS_OF_SCALE
from test_laws import LABELS, PIECES, marks

from gradtx.testing import LAWS

SHAPES = {"b": (8,), "down": (4, 8), "rows": (6, 3), "same": (8, 4), "up": (8, 4), "z": ()}

OF_ALL = ("sharding_is_kept", "abstract_state_tells_the_truth")
# One of each way to reduce: of the tree, of a leaf, along axes of it, by whole matrices.
REDUCING = [
    "adafactor", "adaptive_grad_clip", "apply_if_finite", "centralize", "clip_by_block_rms", "dog", "dynamic_loss_scaling",
    "galore", "lamb", "mechanize", "momo", "normalize_by_update_norm", "novograd", "prodigy",
    "scale_by_distance_over_gradients", "scale_by_polyak", "scale_by_trust_ratio", "sm3",
]  # fmt: skip


def labels_for(name):
    if os.environ.get("WHOLE_ZOO"):
        return LABELS
    return PIECES if name in OF_ALL else [*zoo.QUICK, *REDUCING]


CASES = [
    pytest.param(label, name, marks=marks(label, name), id=f"{label}-{name}")
    for name in LAWS_OF_SCALE
    for label in labels_for(name)
]


@pytest.mark.parametrize(("label", "name"), CASES)
def test_the_law_of_scale_is_kept(label, name):
    rng = np.random.default_rng(0)
    params = {key: jnp.asarray(rng.normal(size=shape), jnp.float32) for key, shape in SHAPES.items()}
    LAWS[name](zoo.transformation(label), params, zoo.TRANSFORMATIONS[label].extra_args)
