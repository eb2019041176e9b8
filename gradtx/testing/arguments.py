"""Laws of the extra arguments of `update`."""

import jax
import jax.numpy as jnp

from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    chain,
    declared_extra_args,
)
from gradtx.testing.laws import law
from gradtx.testing.samples import gradients_like, shapes_of


@law
def protocol_extra_arguments_pass(tx: GradientTransformation, params: Params) -> None:
    """`value`, `grad`, `value_fn`, `grad_fn` and `key` may be given to anything: the training loop need not know who reads.

    A pair that claims no support of extra arguments is tried in a chain, which supports them.
    """
    tx = tx if isinstance(tx, GradientTransformationExtraArgs) else chain(tx)
    read = declared_extra_args(tx.update) or frozenset()
    gradients = gradients_like(params)
    extra = {
        "value": jnp.zeros(()),
        "grad": gradients,
        "value_fn": lambda params: jnp.zeros(()),
        "grad_fn": lambda params: gradients,
        "key": jax.random.key(0),
    }
    # What the transformation reads has a meaning, which only the caller's own arguments have.
    extra = {name: arg for name, arg in extra.items() if name not in read}
    jax.eval_shape(lambda g, p: tx.update(g, tx.init(p), p, **extra), shapes_of(gradients), shapes_of(params))


@law
def unknown_extra_arguments_are_refused(tx: GradientTransformation, params: Params) -> None:
    """A keyword that nothing reads is refused by name, so that a typo is not silent.

    A transformation from another library that takes `**extra` is taken to read anything.
    """
    if declared_extra_args(tx.update) is None:
        return
    try:
        tx.update(gradients_like(params), tx.init(params), params, no_such_argument=1)
    except TypeError as error:
        message = str(error)
    else:
        raise AssertionError("update accepted no_such_argument=1")
    assert "no_such_argument" in message, f"the error does not name the argument: {message}"
