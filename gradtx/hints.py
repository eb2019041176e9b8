"""What was meant by a word that is not known: by what the word means elsewhere, and else by its letters."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

_LEARNING_RATE = ("learning_rate", "lr", "init_value", "peak_value", "step_size", "learning_rate_factor")
_WEIGHT_DECAY = ("weight_decay", "weight_decay_rate")
_STEPS = ("decay_steps", "transition_steps", "total_steps")

MEANINGS: Mapping[str, tuple[str, ...]] = {
    # arguments: what they are called in other libraries, or were meant to be
    "lr": _LEARNING_RATE,
    "rate": _LEARNING_RATE,
    "eta": _LEARNING_RATE,
    "stepsize": ("step_size", *_LEARNING_RATE),
    "learningrate": _LEARNING_RATE,
    "maxlr": ("peak_value", "max_lr", *_LEARNING_RATE),
    "minlr": ("end_value", "min_lr"),
    "learningratefactor": ("learning_rate_factor",),
    "lrfactor": ("learning_rate_factor",),
    "lrmult": ("learning_rate_factor",),
    "lrscale": ("learning_rate_factor",),
    "betas": ("b1 b2 b3", "b1 b2"),
    "beta": ("b1", "decay", "momentum"),
    "beta1": ("b1", "betas", "momentum"),
    "beta2": ("b2", "betas", "decay"),
    "beta3": ("b3", "betas"),
    "b1": ("beta_1", "betas", "betas[0]", "momentum", "decay"),
    "b2": ("beta_2", "betas", "betas[1]", "decay"),
    "momentum": ("b1", "decay", "beta"),
    "rho": ("decay", "b2"),
    "epsilon": ("eps",),
    "eps": ("epsilon",),
    "wd": _WEIGHT_DECAY,
    "l2": _WEIGHT_DECAY,
    "decay": _WEIGHT_DECAY,
    "weightdecay": _WEIGHT_DECAY,
    "maxgradnorm": ("max_norm",),
    "clipnorm": ("max_norm",),
    "gradclip": ("max_norm",),
    "clipvalue": ("max_delta",),
    "steps": _STEPS,
    "numsteps": _STEPS,
    "maxsteps": _STEPS,
    "totalsteps": _STEPS,
    "tmax": _STEPS,
    "numtrainingsteps": _STEPS,
    "warmup": ("warmup_steps",),
    "numwarmupsteps": ("warmup_steps",),
    "gamma": ("decay_rate", "factor"),
    "initial": ("init_value",),
    "start": ("init_value",),
    "end": ("end_value",),
    "final": ("end_value",),
    "peak": ("peak_value",),
    "k": ("every_k_schedule",),
    "everyk": ("every_k_schedule",),
    "accumulationsteps": ("every_k_schedule",),
    "gradientaccumulationsteps": ("every_k_schedule",),
    "momentumdtype": ("mu_dtype", "accumulator_dtype"),
    "dtype": ("mu_dtype", "accumulator_dtype", "state_dtype"),
    "rng": ("key", "seed"),
    # functions
    "cosineannealinglr": ("cosine_decay_schedule",),
    "steplr": ("step_decay_schedule",),
    "multisteplr": ("multi_step_decay_schedule",),
    "exponentiallr": ("exponential_decay",),
    "onecyclelr": ("cosine_onecycle_schedule",),
    "reducelronplateau": ("reduce_on_plateau",),
    "clipgradnorm": ("clip_by_global_norm",),
    "clipgradvalue": ("clip",),
    "clipbynorm": ("clip_by_global_norm",),
    "accumulategradients": ("MultiSteps",),
    "gradientaccumulation": ("MultiSteps",),
}
"""Words in lower case without underscores, and what each may stand for, the likeliest first; "b1 b2" are two together."""


def nearest(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a question for what is likely meant by a word that is not known, or `otherwise` if nothing is like it."""
    found = meant(word, known)
    return f"did you mean {' and '.join(map(repr, found))}?" if found else otherwise


def meant(word: str, known: Iterable[str]) -> list[str]:
    """Return what is likely meant by a word among those that are known: several if it stands for several at once.

    A path such as "adam.lr" is looked for among those that have the same beginning, and then among all.
    """
    known = list(known)
    return _by_meaning(word, known) or _by_end(word, known) or _by_letters(word, known)


def refuse_unknown_keywords(owner: str, parameters: Mapping[str, inspect.Parameter], given: Iterable[str]) -> None:
    """Raise `TypeError` with a hint if one of the keywords of a call is not among the parameters."""
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for keyword in given:
        if keyword not in parameters:
            known = [name for name, p in parameters.items() if p.kind is not p.VAR_POSITIONAL]
            hint = nearest(keyword, known, otherwise=f"it takes {', '.join(known) or 'none'}.")
            raise TypeError(f"{owner}() got an unexpected keyword argument {keyword!r}; {hint}")


def hinting(function: _F, owner: str) -> _F:
    """Let a function explain keywords that it does not take."""
    parameters = {name: p for name, p in inspect.signature(function).parameters.items() if name not in ("self", "cls")}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        refuse_unknown_keywords(owner, parameters, kwargs)
        return function(*args, **kwargs)

    return call  # pyright: ignore[reportReturnType]


def _by_meaning(word: str, known: Iterable[str]) -> list[str]:
    """The known words that a word stands for: the same but for case and underscores, or what `MEANINGS` says."""
    plain = {_plain(each): each for each in known}
    for together in (word, *MEANINGS.get(_plain(word), ())):
        wanted = [_plain(each) for each in together.split()]
        if wanted and all(each in plain for each in wanted):
            return [plain[each] for each in wanted]
    return []


def _by_letters(word: str, known: Iterable[str]) -> list[str]:
    plain = {_plain(each): each for each in known}
    return [plain[each] for each in difflib.get_close_matches(_plain(word), plain, n=1)]


def _by_end(path: str, known: Iterable[str]) -> list[str]:
    """The paths that end as a path is meant to: those with the same beginning, or the one that is most like it."""
    beginning, _, last = path.rpartition(".")
    ends: dict[str, list[str]] = {}
    for each in known:
        ends.setdefault(each.rpartition(".")[2], []).append(each)
    beside = [end for end, paths in ends.items() if f"{beginning}.{end}" in paths]
    if here := _by_meaning(last, beside) or _by_letters(last, beside):
        return [f"{beginning}.{end}" for end in here]
    return [difflib.get_close_matches(f"{beginning}.{end}", ends[end], n=1, cutoff=0)[0] for end in _by_meaning(last, ends)]


def _plain(word: str) -> str:
    return word.lower().replace("_", "")
