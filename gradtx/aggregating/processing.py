"""What happens before, while and after gradients become one."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.aggregating.elements import Aggregator
from gradtx.compiled import compiled, keep_dtypes
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)


@factory
def process(
    preprocessor: Transformation,
    aggregator: Transformation,
    postprocessor: Transformation,
    aggregator_has_aux: bool = False,
) -> GradientTransformationExtraArgs:
    """Chain what works on gradients of examples (or parts of a batch), what makes one of them, and what works on that.

    The third takes a step only when the second is ready, if its state says so in a field `ready`; until then the updates are
    zeros. The state is a tuple of the three states.

    Args:
      preprocessor: from gradients of examples to such.
      aggregator: from those to one gradient, such as `average_per_element_updates`.
      postprocessor: an optimizer.
      aggregator_has_aux: whether the updates that `aggregator` returns are a pair of updates and a dict of extra arguments
        for `postprocessor`.

    Returns:
      An `Aggregator` if `aggregator` is one.

    Raises:
      TypeError: an argument is not a transformation.
    """
    before, gather, after = members = [with_extra_args_support(tx) for tx in (preprocessor, aggregator, postprocessor)]
    kind = Aggregator if isinstance(aggregator, Aggregator) else GradientTransformationExtraArgs

    def init(params: Params) -> tuple[OptState, ...]:
        return tuple(member.init(params) for member in members)

    @forwards_to(*members, states=tuple)
    @compiled
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        before_state, gather_state, after_state = state
        updates, before_state = before.update(updates, before_state, params, **extra_args)
        aggregated, gather_state = gather.update(updates, gather_state, params, **extra_args)
        updates, aux = aggregated if aggregator_has_aux else (aggregated, {})

        def step():
            new_updates, new_state = after.update(updates, after_state, params, **{**extra_args, **aux})
            return keep_dtypes(new_updates, updates), keep_dtypes(new_state, after_state)

        def wait():
            return jax.tree.map(jnp.zeros_like, updates), after_state

        ready = tree.get(gather_state, "ready", filtering=_is_field)
        updates, after_state = step() if ready is None else jax.lax.cond(ready, step, wait)
        return updates, (before_state, gather_state, after_state)

    return kind(init, update)


def _is_field(path: tuple[Any, ...], value: Any) -> bool:
    """Not a parameter that is called so."""
    del value
    return isinstance(path[-1], tree.NamedTupleKey)
