"""What all of torch's optimizers share: the order in which sign, weight decay and learning rate are applied."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from gradtx import require
from gradtx.core import GradientTransformation, GradientTransformationExtraArgs, ScalarOrSchedule, Transformation, chain
from gradtx.transforms.scale import scale, scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.wrappers.inject_hyperparams import inject_hyperparams


def composed(
    *direction: Transformation,
    lr: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Chain an optimizer from the transformations that give its direction u.

        g ← −g                       with `maximize`
        g ← g + weight_decay·p       the penalty of torch's `weight_decay`, which goes through u, or
        u ← u + weight_decay·p       with `decoupled`
        Δp = −lr·u

    torch shrinks the parameters before it adds the update; the sum is the same, as both are made of the old parameters.
    """
    decay = [] if require.is_zero(weight_decay) else [add_decayed_weights(weight_decay)]
    return chain(
        *([scale(-1.0)] if maximize else []),
        *([] if decoupled else decay),
        *direction,
        *(decay if decoupled else []),
        scale_by_learning_rate(lr),
    )


def scheduled(factory: Callable[..., GradientTransformation], **hyperparameters: Any) -> GradientTransformation:
    """Call a factory of gradtx whose hyperparameters may be schedules, as the momentum of a cycle is."""
    if not any(callable(value) for value in hyperparameters.values()):
        return factory(**hyperparameters)
    return inject_hyperparams(factory, hyperparam_dtype=jnp.result_type(float))(**hyperparameters)


def b1_and_b2(betas: tuple[Any, Any]) -> dict[str, Any]:
    """Return torch's `betas` by gradtx's names, if they are decays."""
    b1, b2 = betas
    for k, beta in enumerate(betas):
        require.in_range(f"betas[{k}]", beta, require.DECAY)
    return {"b1": b1, "b2": b2}
