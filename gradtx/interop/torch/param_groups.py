"""What the param groups of a torch optimizer say: which optimizer it is, and with which options."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gradtx.core import GradientTransformation, Params
from gradtx.errors import names_errors, unnamed
from gradtx.interop.torch.adadelta import adadelta
from gradtx.interop.torch.adagrad import adagrad
from gradtx.interop.torch.adam import adam, adamw
from gradtx.interop.torch.adamax import adamax
from gradtx.interop.torch.nadam import nadam
from gradtx.interop.torch.names import Names, param_pairs
from gradtx.interop.torch.radam import radam
from gradtx.interop.torch.rmsprop import rmsprop
from gradtx.interop.torch.sgd import sgd
from gradtx.tree.paths import map_with_paths
from gradtx.wrappers.partition import partition

# Options that change how torch computes, but not what; and what its schedulers leave in a group.
_WITHOUT_MEANING = frozenset({"params", "param_names", "foreach", "capturable", "differentiable", "fused"})
_OF_SCHEDULERS = frozenset({"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr"})

_ADAM = {"mu": "exp_avg", "nu": "exp_avg_sq"}


class Kind(NamedTuple):
    """A class of torch: its factory here, the options that tell it from others, its entries by the fields of states here.

    Those of bitsandbytes, whose options are alike, are one kind, without a factory.
    """

    factory: Callable[..., GradientTransformation] | None
    options: frozenset[str]
    entries: dict[str, str]

    @property
    def counts(self) -> bool:
        """Whether torch counts the steps."""
        return self.factory is not sgd


_KINDS = [  # the first whose options a group has
    Kind(sgd, frozenset({"dampening"}), {"trace": "momentum_buffer"}),
    Kind(nadam, frozenset({"momentum_decay"}), {**_ADAM, "momentum_product": "mu_product"}),
    Kind(adam, frozenset({"betas", "amsgrad"}), {**_ADAM, "nu_max": "max_exp_avg_sq"}),
    Kind(radam, frozenset({"betas", "decoupled_weight_decay"}), _ADAM),
    Kind(adamax, frozenset({"betas", "maximize"}), {"mu": "exp_avg", "nu": "exp_inf"}),
    Kind(adagrad, frozenset({"lr_decay"}), {"sum_of_squares": "sum"}),
    Kind(adadelta, frozenset({"rho"}), {"e_g": "square_avg", "e_x": "acc_delta"}),
    Kind(rmsprop, frozenset({"centered"}), {"mu": "grad_avg", "nu": "square_avg", "trace": "momentum_buffer"}),
    Kind(None, frozenset({"betas"}), {"mu": "state1", "trace": "state1", "nu": "state2"}),
]


def kind_of(param_groups: Sequence[Mapping[str, Any]]) -> Kind:
    """Return which optimizer it is whose groups have these options."""
    options = param_groups[0].keys()
    kind = next((kind for kind in _KINDS if kind.options <= options), None)
    if kind is None:
        known = "SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adagrad, Adadelta or RMSprop"
        raise unnamed(ValueError, f"a param group with the options {', '.join(options)} is none of torch's {known}.")
    return kind


@names_errors
def optimizer_from_torch(state_dict: Mapping[str, Any], params: Params, names: Names) -> GradientTransformation:
    """Make the transformation that a torch optimizer is, by its `state_dict()`.

    Learning rates are the present ones, as numbers. Several param groups make a `gradtx.partition`, labelled "0", "1", ...

    Args:
      state_dict: of torch.optim's SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adagrad, Adadelta or RMSprop.
      params: the parameters here.
      names: the path of each of torch's parameters here; see `from_torch`.

    Raises:
      ValueError: the optimizer is none of these, an option is unknown, or the names do not fit.
    """
    groups = state_dict["param_groups"]
    pairs = param_pairs(groups, params, names)
    kind = kind_of(groups)
    if kind.factory is None:
        raise unnamed(
            ValueError,
            "bitsandbytes does not say which of its optimizers a state_dict is of: make the transformation yourself, such as "
            'quantized(adamw(1e-3, weight_decay=0.01), code="dynamic"), and give it to from_torch as tx.',
        )
    optimizers = {str(k): _of_group(kind.factory, f"group {k}", group) for k, group in enumerate(groups)}
    if len(groups) == 1:
        return optimizers["0"]
    group_of = {index: str(k) for k, group in enumerate(groups) for index in group["params"]}
    labels = map_with_paths(lambda path, _: group_of[pairs[path].index], params)
    return partition({**optimizers}, labels)


def _of_group(factory: Callable[..., GradientTransformation], where: str, group: Mapping[str, Any]) -> GradientTransformation:
    options = {key: _plain(value) for key, value in group.items() if key not in _WITHOUT_MEANING | _OF_SCHEDULERS}
    if factory is adam and "decoupled_weight_decay" not in options:
        raise ValueError(
            f"optimizer_from_torch: {where} does not say whether it is of Adam or AdamW (torch has written that since 2.7): "
            "make the transformation yourself and give it to from_torch as tx."
        )
    if factory is adam and options.pop("decoupled_weight_decay"):
        factory = adamw
    known = inspect.signature(factory).parameters
    for key in options:
        if key not in known:
            raise ValueError(f"optimizer_from_torch: {where} has the option {key!r}, which {factory.__name__} does not know.")
    return factory(**options)


def _plain(value: Any) -> Any:
    """An option as a number, where torch has a tensor of one."""
    return value.item() if hasattr(value, "item") else value
