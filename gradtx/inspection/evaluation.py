"""The parameters to evaluate a model at, or to go on with in float32, where they are not those of training."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax

from gradtx import tree
from gradtx.core import OptState, Params
from gradtx.errors import names_errors, unnamed
from gradtx.inspection.transfer_forms import master
from gradtx.optimizers.primal_averaging import exponential_average
from gradtx.optimizers.schedule_free import average_of_iterates
from gradtx.require import Range, in_range
from gradtx.tree.holes import is_hole, map_leaves
from gradtx.tree.masks import Mask, check_mask, evaluate_mask, fill_masked, mask_out
from gradtx.tree.paths import in_containers_of
from gradtx.tree.search import is_namedtuple, walk
from gradtx.wrappers.compensated import CompensatedState
from gradtx.wrappers.ema_nesterov import without_lookahead
from gradtx.wrappers.lookahead import is_pair

_Tree = TypeVar("_Tree")
_SHARE = Range(low=0, high=1)


@names_errors
def eval_params(state: OptState, params: _Tree) -> _Tree:
    """Return the parameters at which to evaluate a model: their average, where the optimizer keeps one.

        accuracy(eval_params(state, params), batch)

    That is the average of `averaged`, `exponentially_averaged`, `polyak_averaged` or `stochastic_weight_averaged`, x of
    `schedule_free` and `primal_averaged`, p of `ema_nesterov`, the slow parameters of `lookahead`, and with any other optimizer
    the parameters themselves. It has the dtypes of the parameters. Of several averages, each behind a mask or in a group, each
    is that of its own parameters; of one inside of another the outer counts.

    Args:
      state: the state of an optimizer.
      params: the parameters of training; `LookaheadParams` for `lookahead`.

    Raises:
      TypeError: the arguments are in another order, or the state is one of `lookahead` and the parameters are not.
      ValueError: an average is one of other parameters.
    """
    if any(_is_state(node) for node in jax.tree.leaves(params, is_leaf=_is_state)):
        raise unnamed(TypeError, "there is a state in the parameters. Call eval_params(state, params).")
    evaluated: Any = params
    for _, part in walk(state, stop=_is_replaced):
        if _is_replaced(part):
            evaluated = _REPLACEMENTS[type(part).__name__](part, evaluated)
    return evaluated.slow if is_pair(evaluated) else evaluated


@names_errors
def blend_params(params: _Tree, average: Params, weight: float | jax.Array, mask: Mask | None = None) -> _Tree:
    """Return (1 − weight)·params + weight·average: between the last parameters and an average of the last steps.

        blend_params(params, eval_params(state, params), 0.6, gradtx.not_matching("embedding"))

    Of an average of the end of a run, as `exponentially_averaged(optimizer, begin=...)` keeps, a blend is often better than
    either. It has the dtypes of `params`.

    Args:
      params: the parameters of training.
      average: a tree like them.
      weight: of the average, from 0 to 1.
      mask: which leaves are blended, a tree of bools or a function that makes one; the others are those of `params`.

    Raises:
      ValueError: the weight is not in [0, 1], or the trees differ.

    References:
      Jordan et al., modded-nanogpt, records of track 3, 2026, https://github.com/KellerJordan/modded-nanogpt
    """
    in_range("weight", weight, _SHARE)
    if mask is None:
        return _blended(params, average, weight=weight)
    check_mask(mask)
    where = evaluate_mask(mask, params)
    blended = _blended(mask_out(where, params), mask_out(where, average), weight=weight)
    return fill_masked(where, blended, params)


@names_errors
def master_params(state: OptState, params: _Tree) -> _Tree:
    """Return the float32 parameters that `compensated` trains; `params` are these, rounded. Others stay as they are.

        state, report = transfer_state(state, adamw(1e-3), master_params(state, params))      goes on in float32

    Args:
      state: the state of an optimizer.
      params: the parameters of training.

    Raises:
      ValueError: the state is one of other parameters.
    """
    for _, part in walk(state, stop=_is_compensated):
        if _is_compensated(part):
            params = map_leaves(
                lambda p, low: p if is_hole(low) else master(p, low), params, in_containers_of(params, part.low)
            )
    return params


def _is_compensated(part: Any) -> bool:
    return isinstance(part, CompensatedState)


@tree.lift
def _blended(p, average, *, weight):
    return p + weight * (average - p)


@tree.lift(like="p")
def _eval_params(average, p):
    return average


def _of_averaged(state: Any, params: Params) -> Params:
    return _eval_params(in_containers_of(params, state.average), params)


def _of_lookahead(state: Any, params: Params) -> Params:
    del state
    if not is_pair(params):
        raise unnamed(TypeError, "lookahead has two sets of parameters, LookaheadParams: pass both, to get the slow ones.")
    return params


# By the names of the states, which are those of other libraries, too.
_REPLACEMENTS: Mapping[str, Callable[[Any, Params], Params]] = {
    "AveragedState": _of_averaged,
    "EmaNesterovState": without_lookahead,
    "LookaheadState": _of_lookahead,
    "PrimalAveragedState": exponential_average,
    "ScheduleFreeState": average_of_iterates,
}


def _is_replaced(part: Any) -> bool:
    return type(part).__name__ in _REPLACEMENTS


def _is_state(node: Any) -> bool:
    return is_namedtuple(node) and type(node).__name__.endswith("State")
