"""torch's ChainedScheduler and SequentialLR, whose members all read and write one learning rate."""

import itertools
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp

from gradtx import require
from gradtx.core import factory
from gradtx.interop.torch.schedulers.recurrence import Rate, Run, Scheduler, stepped
from gradtx.schedules.formula import COUNTABLE


@factory
def chained_scheduler(schedulers: Sequence[Scheduler]) -> Scheduler:
    """Let every scheduler change the learning rate at each step, one after another, as ChainedScheduler.

    Factors multiply. One that writes the learning rate whatever it was (`lambda_lr`, `cyclic_lr`, `one_cycle_lr`,
    `cosine_annealing_warm_restarts`) undoes what those before it have done, and those after it multiply what it writes by
    what is theirs of this one step. A `cosine_annealing_lr` with `eta_min` other than 0, or two of them, or a
    `sequential_lr`, has no formula in such company: the steps are then computed one after another at each call, up to that
    from which all but one of the members change nothing, such as the end of a warm-up.

    Args:
      schedulers: members, in the order in which torch has made them, of one `lr`.

    Raises:
      TypeError: a member is not a scheduler of torch.
      ValueError: there is none, or torch has another `lr` for one of them, or `cyclic_lr`, or a
        `sequential_lr` that begins with it, is not the first.
    """
    base = _shared("chained_scheduler", schedulers)
    parts = [part for member in schedulers for part in _parts(member, of="chained_scheduler")]
    if any(next(_parts(part)).name == "cyclic_lr" for part in parts[1:]):
        raise ValueError("chained_scheduler: put cyclic_lr first, or what begins with it; made later, it takes another lr.")

    def begin(lr: Rate) -> Rate:
        for part in parts:
            lr = part.begin(lr)
        return lr

    kind, run = _together(parts)
    return Scheduler(
        "chained_scheduler",
        _of_optimizer(schedulers),
        begin,
        run,
        kind=kind,
        base=base,
        members=schedulers,
        settled=max(part.settled for part in parts),
    )


def _together(parts: Sequence[Scheduler]) -> tuple[str | None, Run]:
    """The kind of several schedulers at once, and how they go on."""

    def each(lr: Rate, since: Any, until: Any) -> Rate:
        for part in parts:
            lr = part.run(lr, since, until)
        return lr

    def step(lr: Rate, count: Any) -> Rate:
        return each(lr, count - 1, count)

    def set_anew(lr: Rate, since: Any, until: Any) -> Rate:
        return jnp.where(until > since, step(lr, jnp.maximum(until, 1)), lr)

    def step_by_step(lr: Rate, since: Any, until: Any) -> Rate:
        alone = jnp.maximum(since, jnp.minimum(until, first_alone))
        return last.run(stepped(step, lr, since, alone), alone, until)

    others = [part for part in parts if part.kind != "scales"]
    if not others:
        return "scales", each
    if any(part.kind == "sets" for part in others):
        return "sets", set_anew
    if len(others) == 1 and others[0].zero is not None:
        return None, _from_zero(others[0].zero, step, each)
    *earlier, last = sorted(parts, key=lambda part: part.settled)
    first_alone = int(min(max((part.settled for part in earlier), default=0), COUNTABLE.high))
    return None, step_by_step


def _from_zero(zero: Any, step: Any, each: Run) -> Run:
    """Go on from the last step at which the learning rate is 0, where the past is forgotten; after it, factors multiply."""

    def run(lr: Rate, since: Any, until: Any) -> Rate:
        bottom = zero(until)
        passed = bottom >= since
        lr = jnp.where(passed, step(jnp.zeros_like(lr), jnp.maximum(bottom, 0) + 1), lr)
        return each(lr, jnp.where(passed, bottom + 1, since), until)

    return run


@factory
def sequential_lr(schedulers: Sequence[Scheduler], milestones: Sequence[int]) -> Scheduler:
    """Follow one scheduler after another, as SequentialLR.

    At its milestone a scheduler begins with its own first learning rate, of `lr`, wherever the one before has come to; but
    `multiplicative_lr` goes on from what it finds, and multiplies it by its factor of step 0.

    Args:
      schedulers: members of one `lr`, none of them a composition, which torch refuses or begins in other ways.
      milestones: the step at which each of them but the first begins; where two are equal, that between them is left out.

    Raises:
      TypeError: a member is not a scheduler of torch; `gradtx.join_schedules` joins any functions of the step.
      ValueError: there is none, or a composition, or torch has another `lr` for one of them, or the milestones are not one
        fewer, integers, or in order.
    """
    base = _shared("sequential_lr", schedulers)
    phases = _phases(schedulers, milestones)

    def run(lr: Rate, since: Any, until: Any) -> Rate:
        for member, begin, last in phases:
            if begin:
                lr = jnp.where((since < begin) & (begin <= until), member.restart(lr), lr)
            local_since, local_until = (jnp.clip(jnp.asarray(count) - begin, 0, last) for count in (since, until))
            lr = member.run(lr, local_since, local_until)
        return lr

    first = phases[0][0]
    final, begin, _ = phases[-1]
    return Scheduler(
        "sequential_lr",
        _of_optimizer(schedulers),
        lambda found: first.begin(jnp.asarray(base, float)),
        run,
        kind="sets" if all(member.kind == "sets" for member, _, _ in phases) else None,
        base=base,
        members=schedulers,
        settled=begin + final.settled,
    )


def _phases(schedulers: Sequence[Scheduler], milestones: Sequence[int]) -> list[tuple[Scheduler, int, int]]:
    """Which scheduler acts, the step at which it begins, and the last step of its own."""
    if any(member.members for member in schedulers):
        raise ValueError("sequential_lr: torch does not begin a composition as it begins other members; make one of all.")
    if len(milestones) != len(schedulers) - 1:
        raise ValueError(
            f"sequential_lr: {len(schedulers)} schedulers meet at {len(schedulers) - 1} milestones, got {len(milestones)}."
        )
    for earlier, later in itertools.pairwise([0, *milestones]):
        require.in_range(f"the milestone after {earlier}", later, COUNTABLE._replace(low=earlier))
    spans = zip(schedulers, [0, *milestones], [*milestones, int(COUNTABLE.high) + 1], strict=True)
    return [(member, begin, end - begin - 1) for member, begin, end in spans if begin < end]


def _shared(owner: str, schedulers: Sequence[Scheduler]) -> Rate:
    """Refuse members that could not share an optimizer; return the learning rate that schedulers made later begin with."""
    if not schedulers:
        raise ValueError(f"{owner} expects at least one scheduler, got none.")
    for member in schedulers:
        if not isinstance(member, Scheduler):
            raise TypeError(f"{owner} takes schedulers of gradtx.interop.torch, got {member!r}.")
    if sum(part.name == "one_cycle_lr" for member in schedulers for part in _parts(member)) > 1:
        raise ValueError(f"{owner}: torch keeps the numbers of one one_cycle_lr in an optimizer, the last that was made.")
    base = schedulers[0].lr
    for k, member in enumerate(schedulers):
        if _differ(member.lr, base):
            raise ValueError(f"{owner}: the optimizer has the lr {base} when torch makes {member.name}, got lr={member.lr}.")
        if k == 0 or member.name != "cyclic_lr":  # which changes what is not yet written down
            base = member.base
    return base


def _of_optimizer(schedulers: Sequence[Scheduler]) -> Rate:
    """The learning rate of the optimizer before; any will do if none of them reads it."""
    return next((member.lr for member in schedulers if member.lr is not None), schedulers[0].base)


def _parts(member: Scheduler, of: str | None = None) -> Iterator[Scheduler]:
    """Yield what a composition is made of in the end, of any kind or of one name; a scheduler that is none, itself."""
    if member.members and of in (None, member.name):
        for part in member.members:
            yield from _parts(part, of)
    else:
        yield member


def _differ(one: Rate, other: Rate) -> bool:
    return isinstance(one, numbers.Real) and isinstance(other, numbers.Real) and one != other
