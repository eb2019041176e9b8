"""Groups of parameters, told by their paths, each with something of its own."""

import collections
import dataclasses
import inspect
import re
from collections.abc import Hashable, Sequence
from typing import Any

import jax

from gradtx import hints, require, tree
from gradtx.core import (
    Contract,
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    chain,
    factory,
    init_empty_state,
    set_to_zero,
)
from gradtx.core.hyperparameters import hyperparameters, rebuilt
from gradtx.errors import naming, unnamed
from gradtx.schedules.scaled import scaled_schedule
from gradtx.tree.paths import places, with_leaves
from gradtx.tree.patterns import Pattern, check_pattern, first_matches
from gradtx.tree.unmatched import is_whole, refuse_unmatched, refuse_unused
from gradtx.values import Recipe, Value
from gradtx.wrappers.partition import partitioned


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Group(Value):
    """A rule of `grouped`: which parameters are meant, and what is particular to them.

    Args:
      pattern: which paths; `matching` says what a pattern is. A last "**" takes all that the groups before it have left, which
        may be nothing.
      optimizer: a transformation instead of the one that `grouped` is given.
      name: the label of the group in the state; by default the words of the pattern, "bias" for "**/bias", or "rest" if it has
        none. A state is found again by it, so give one where patterns may change between a checkpoint and its use.
      learning_rate_factor: what the learning rate is multiplied by. 0 moves nothing, while moments go on; `frozen` has none. It
        follows a schedule in `adjustable(grouped(...), {"embed.learning_rate_factor": schedule})`.
      weight_decay: the weight decay instead of the optimizer's, a number or a schedule.
      frozen: whether nothing moves: no state, and updates of zero.

    Raises:
      TypeError: an argument is of another kind.
      ValueError: something else is said of what is frozen, or a number is negative.
    """

    pattern: Pattern
    optimizer: Transformation | None = None
    _: dataclasses.KW_ONLY
    name: str | None = None
    learning_rate_factor: float | jax.Array | None = None
    weight_decay: ScalarOrSchedule | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        with naming("Group"):
            check_pattern(self.pattern)
        arguments = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        _CONTRACT.keep(arguments)
        for name, value in {**arguments, "recipe": Recipe.of(Group, **arguments)}.items():
            object.__setattr__(self, name, value)
        said = [name for name in ("optimizer", "learning_rate_factor", "weight_decay") if arguments[name] is not None]
        if self.frozen and said:
            raise ValueError(f"{self!r}: what is frozen does not move; leave out {said[0]} or frozen.")

    @property
    def label(self) -> str:
        """The name, or one that is made of the words in the pattern."""
        return "_".join(_words(self.pattern)) or "rest" if self.name is None else self.name


_CONTRACT = Contract("Group", inspect.signature(Group), {"learning_rate_factor": require.NONNEGATIVE})
Group.__init__ = hints.hinting(Group.__init__, "Group")


@factory
def grouped(
    optimizer: Transformation,
    groups: Sequence[Group],
    *,
    mask_compatible_extra_args: bool = False,
    strict: bool = False,
) -> GradientTransformationExtraArgs:
    """Parameter groups: other hyperparameters, or another optimizer, for the parameters whose paths match a pattern.

        grouped(adamw(3e-4, weight_decay=0.1), [
            Group("**/bias", weight_decay=0.0),
            Group("embed/**", learning_rate_factor=0.1),
            Group(lambda path, leaf: leaf.ndim == 2, muon(0.02), name="matrices"),
            Group("backbone/**", frozen=True),
        ])

    A parameter belongs to the first group whose pattern matches its path, which is made of keys, attributes and indices, such
    as "layers/0/attention/bias". The state is that of a `partition` whose labels are the names of the groups, and "rest" for
    parameters in no group, as if there were a last `Group("**")`. An optimizer sees the parameters of its group alone, so that
    a norm in it is that of the group: to clip by the norm of all, write `chain(clip_by_global_norm(1.0), grouped(...))`.

    A factor multiplies every learning rate in the optimizer, number or schedule: `learning_rate`, `..._learning_rate`, `lr`;
    but no `max_learning_rate`, which is a bound. Where there is none, as in a chain that ends with `scale(-0.1)` or in what
    another library has made, it multiplies the updates. A weight decay replaces every `weight_decay`,
    `..._weight_decay` and `weight_decay_rate`.

    Args:
      optimizer: a transformation for all groups that have none of their own, and for parameters in no group.
      groups: the groups, in their order.
      mask_compatible_extra_args: see `partition`.
      strict: whether a parameter in no group is an error.

    Raises:
      TypeError: `groups` is not a list of groups.
      ValueError: two groups have one name, or a weight decay is for an optimizer that has none. And when it is used: a group
        has no parameter, since no path matches or the groups before it have taken all (which is not an error where leaves
        are masked, as within `masked`); a parameter is in no group, and it is strict, or another group is called "rest".
    """
    _check_groups(groups)
    groups = tuple(groups)
    members: dict[Hashable, Transformation] = {group.label: _member(optimizer, group) for group in groups}
    rest = groups[-1] if groups and groups[-1].pattern == "**" else Group("**")
    is_free = rest in groups or rest.label not in members
    members.setdefault(rest.label, optimizer)

    def is_dispensable(params: Params) -> bool:
        leaves = places(params)
        return is_whole(leaves) if rest in groups else any(not tree.is_hole(leaf) for _, leaf in leaves)

    def labelled(params: Any) -> Any:
        return with_leaves(params, _labels(groups, places(params), rest, strict))

    dispensable: dict[Hashable, Any] = {rest.label: is_dispensable} if is_free else {}
    return partitioned(members, labelled, mask_compatible_extra_args, dispensable)


def _check_groups(groups: Sequence[Group]) -> None:
    for k, group in enumerate(groups):
        if not isinstance(group, Group):
            raise unnamed(TypeError, f"groups[{k}] must be a Group, got {group!r}.")
    for label, number in collections.Counter(group.label for group in groups).items():
        if number > 1:
            first, second, *_ = [group for group in groups if group.label == label]
            raise unnamed(ValueError, f"{first!r} and {second!r} are both called {label!r}; give one of them a name.")


# --- what a group does ------------------------------------------------------------------------------------------------


def _member(optimizer: Transformation, group: Group) -> Transformation:
    """The transformation of the parameters of one group."""
    if group.frozen:
        return set_to_zero()
    own = optimizer if group.optimizer is None else group.optimizer
    if group.weight_decay is not None:
        own = _with_weight_decay(own, group)
    return own if group.learning_rate_factor is None else _with_factor(own, group.learning_rate_factor)


def _with_weight_decay(optimizer: Transformation, group: Group) -> GradientTransformation:
    paths = [path for path in hyperparameters(optimizer) if _argument(path).endswith(("weight_decay", "weight_decay_rate"))]
    if not paths:
        raise unnamed(
            ValueError,
            f"{optimizer!r} has no weight_decay to be replaced in {group!r}; "
            "put add_decayed_weights(...) into its chain, or take an optimizer that has one, as adamw does.",
        )
    return rebuilt(optimizer, dict.fromkeys(paths, group.weight_decay))


def _with_factor(optimizer: Transformation, factor: float | jax.Array) -> GradientTransformation:
    rates = {path: rate for path, rate in hyperparameters(optimizer).items() if _is_learning_rate(_argument(path))}
    if not rates:
        return chain(optimizer, scale_updates(factor))
    scaled = {path: scaled_schedule(rate, factor) if callable(rate) else factor * rate for path, rate in rates.items()}
    return rebuilt(optimizer, scaled)


@factory
def scale_updates(factor: float | jax.Array) -> GradientTransformation:
    """Multiply the updates by a number."""

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return _scale_updates(updates, factor=factor), state

    return GradientTransformation(init_empty_state, update)


@tree.lift
def _scale_updates(g, *, factor):
    return factor * g


def _argument(path: str) -> str:
    """The last part of the path of a hyperparameter."""
    return path.rpartition(".")[2]


def _is_learning_rate(argument: str) -> bool:
    return argument == "lr" or (argument.endswith("learning_rate") and argument != "max_learning_rate")


# --- which parameters are in a group ----------------------------------------------------------------------------------


def _labels(groups: Sequence[Group], leaves: Sequence[tuple[str, Any]], rest: Group, strict: bool) -> list[str | None]:
    """The label of each leaf: that of its group, or of the rest; None for a hole in no group."""
    patterns = [group.pattern for group in groups]
    positions = [None if match is None else match[0] for match in first_matches(patterns, leaves)]
    matched = set(positions)
    unused = [group for position, group in enumerate(groups) if position not in matched] if is_whole(leaves) else []
    refuse_unmatched([group.pattern for group in unused], leaves)
    for (path, leaf), position in zip(leaves, positions, strict=True):
        if position is None and not tree.is_hole(leaf):
            _check_rest(path, groups, rest, strict)
    for group in unused:
        if group is not rest:
            refuse_unused(group.pattern, leaves)
    return [
        (None if tree.is_hole(leaf) else rest.label) if position is None else groups[position].label
        for (_, leaf), position in zip(leaves, positions, strict=True)
    ]


def _check_rest(path: str, groups: Sequence[Group], rest: Group, strict: bool) -> None:
    """Raise `ValueError` if a parameter that no group has cannot be left to the optimizer."""
    if strict:
        raise unnamed(ValueError, f"no group has {path!r}; add one that does, or leave out strict=True.")
    for group in groups:
        if group.label == rest.label:
            message = f"no group has {path!r}, so its label is 'rest', as {group!r} is called; give that another name."
            raise unnamed(ValueError, message)


# --- names ------------------------------------------------------------------------------------------------------------


def _words(pattern: Pattern) -> list[str]:
    """The words in a pattern, in its order."""
    if isinstance(pattern, tuple):
        return [word for alternative in pattern for word in _words(alternative)]
    if isinstance(pattern, str):
        text = re.sub(r"\[[^\]]*\]", " ", pattern)
    elif isinstance(pattern, re.Pattern):
        text = re.sub(r"\\.|\[[^\]]*\]", " ", pattern.pattern)
    else:
        text = getattr(pattern, "__name__", type(pattern).__name__).replace("<lambda>", "function")
    return re.findall(r"[^\W_](?:\w*[^\W_])?", text)
