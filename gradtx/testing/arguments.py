"""Laws of the extra arguments of `update`."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.core import (
    ANYTHING,
    GradientTransformationExtraArgs,
    Params,
    Transformation,
    chain,
    declared_extra_args,
    description,
)
from gradtx.testing.laws import law
from gradtx.testing.samples import gradients_like, shapes_of


@law
def protocol_extra_arguments_pass(tx: Transformation, params: Params) -> None:
    """`value`, `grad`, `value_fn`, `grad_fn` and `key` may be given to anything: the training loop need not know who reads.

    A pair that claims no support of extra arguments is tried in a chain, which supports them.
    """
    tx = tx if isinstance(tx, GradientTransformationExtraArgs) else chain(tx)
    read = declared_extra_args(tx.update)
    gradients = gradients_like(params)
    extra = {
        "value": jnp.zeros(()),
        "grad": gradients,
        "value_fn": lambda params: jnp.zeros(()),
        "grad_fn": lambda params, *step: gradients,
        "key": jax.random.key(0),
    }
    # What the transformation reads has a meaning, which only the caller's own arguments have.
    extra = {name: arg for name, arg in extra.items() if name not in read}
    jax.eval_shape(lambda g, p: tx.update(g, tx.init(p), p, **extra), shapes_of(gradients), shapes_of(params))


@law
def unknown_extra_arguments_are_ignored(tx: Transformation, params: Params) -> None:
    """A keyword that nothing reads changes nothing: training loops give every optimizer the same arguments."""
    tx = tx if isinstance(tx, GradientTransformationExtraArgs) else chain(tx)
    shapes = shapes_of(gradients_like(params)), shapes_of(params)
    jax.eval_shape(lambda g, p: tx.update(g, tx.init(p), p, no_such_argument=1), *shapes)


@law
def misspelt_extra_arguments_are_named(tx: Transformation, params: Params) -> None:
    """A keyword with two letters of a known one swapped is refused by name, so that a typo is not silent.

    A transformation from another library that takes `**extra` is taken to read anything.
    """
    declared = declared_extra_args(tx.update)
    if ANYTHING in declared and description(tx).name is None:
        return
    gradients, state = gradients_like(params), tx.init(params)
    known = {"value", *declared} - {ANYTHING}
    for misspelt in {name[:-2] + name[-1] + name[-2] for name in known if len(name) > 2} - known:
        message = _message_of(tx, gradients, state, params, {misspelt: 1})
        assert message is not None, f"update accepted {misspelt}=1"
        assert misspelt in message, f"the error does not name {misspelt}: {message}"


def _message_of(tx: Transformation, gradients: Any, state: Any, params: Any, extra_args: dict[str, Any]) -> str | None:
    """What `update` says against its extra arguments, if anything."""
    try:
        tx.update(gradients, state, params, **extra_args)
    except TypeError as error:
        return str(error)
    return None
