"""torch's schedulers: the same learning rates as torch, alone and in compositions."""

# Some arguments are of a type that is refused.
# pyright: reportArgumentType=false

import pickle
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from torch_schedulers_cases import CASES, LR, STEPS, Case, inverse, jagged

import gradtx
from gradtx.interop import torch
from gradtx.testing import check_transformation, sample_params, state_keeps_its_type, updates_keep_structure_shape_and_dtype

GOLDEN = recorded.read("torch_schedulers")
CYCLES = [case for case in CASES if f"{case}, momentum" in GOLDEN]
LARGEST = jnp.iinfo(jnp.int32).max


def made(case: Case, lr: float = LR, ending: str = "_lr"):
    """The same scheduler in gradtx; members have the lr that torch's optimizer has when they are made."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", case.name).lower().replace("_lr", ending)
    if "schedulers" not in case.arguments:
        return getattr(torch, name)(*([] if case.name in ("CyclicLR", "OneCycleLR") else [lr]), **case.arguments)
    members = []
    for k, member in enumerate(case.arguments["schedulers"]):
        members.append(made(member, lr))
        lr = lr if k and member.name == "CyclicLR" else members[-1].base
    return getattr(torch, name)(**{**case.arguments, "schedulers": members})


def counts(golden):
    return jnp.asarray(STEPS[: len(golden)], jnp.int32)


def test_what_is_recorded_is_what_is_compared():
    assert GOLDEN.keys() == {str(case) for case in CASES} | {f"{case}, momentum" for case in CYCLES}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_step_has_the_learning_rate_of_torch_in_float64(case):
    golden = GOLDEN[str(case)]
    rates = jax.jit(made(case))(counts(golden))
    assert rates.dtype == jnp.float64
    assert np.all(np.abs(rates - golden) <= 1e-12 * np.maximum(np.abs(golden), LR))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_step_has_the_learning_rate_of_torch_in_float32(case):
    golden = GOLDEN[str(case)]
    rates = jax.jit(made(case))(counts(golden))
    assert rates.dtype == jnp.float32
    assert np.all(np.abs(rates - golden) <= 2e-6 * np.maximum(np.abs(golden), LR))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CYCLES, ids=str)
def test_every_step_has_the_momentum_of_torch(case):
    golden = GOLDEN[f"{case}, momentum"]
    chex.assert_trees_all_close(made(case, ending="_momentum")(counts(golden)), golden, rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_scheduler_is_a_value(case):
    schedule = made(case)
    assert schedule == made(case)
    assert hash(schedule) == hash(made(case))
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert repr(schedule).startswith(schedule.name + "(")
    assert schedule not in [made(other) for other in CASES if str(other) != str(case)]


@pytest.mark.parametrize("case", {case.name: case for case in CASES}.values(), ids=str)
def test_counts_may_be_mapped_over_or_have_any_shape(case):
    schedule = made(case)
    steps = jnp.arange(60).reshape(3, 20)
    chex.assert_trees_all_close(jax.vmap(jax.vmap(schedule))(steps), schedule(steps), atol=1e-6)
    chex.assert_trees_all_close(schedule(7), schedule(steps)[0, 7], atol=1e-6)
    assert schedule(jnp.zeros((0,), jnp.int32)).shape == (0,)


def test_schedules_of_learning_rate_and_momentum_go_into_an_optimizer():
    cycle = {"max_lr": 1.0, "total_steps": 10}
    tx = torch.sgd(torch.one_cycle_lr(**cycle), momentum=torch.one_cycle_momentum(**cycle))
    rates, momenta = torch.one_cycle_lr(**cycle), torch.one_cycle_momentum(**cycle)
    state, trace = tx.init(jnp.zeros(())), 0.0
    for step in range(10):
        trace = momenta(step) * trace + 1
        update, state = tx.update(jnp.ones(()), state)
        np.testing.assert_allclose(update, -rates(step) * trace, rtol=1e-5)
    adam = torch.adam(torch.cyclic_lr(0.1, 0.2, 5), betas=(torch.cyclic_momentum(0.1, 0.2, 5), 0.999))
    check_transformation(adam, sample_params(), laws=[updates_keep_structure_shape_and_dtype, state_keeps_its_type])


def test_an_optimizer_in_a_scan_follows_a_composition():
    schedule = torch.sequential_lr([torch.linear_lr(0.5, 0.1, 1.0, 4), torch.cosine_annealing_lr(0.5, 6)], [4])
    tx = torch.sgd(schedule)

    def step(state, _):
        update, state = tx.update(jnp.ones(()), state)
        return state, -update

    _, rates = jax.lax.scan(step, tx.init(jnp.zeros(())), length=10)
    chex.assert_trees_all_close(rates, schedule(jnp.arange(10)), rtol=1e-6)


def test_numbers_may_be_traced():
    def value(lr, gamma, factor, iters, least):
        members = [torch.linear_lr(lr, factor, 1.0, iters), torch.cosine_annealing_lr(lr, 20, least)]
        return (
            torch.sequential_lr(members, [5])(9) + torch.exponential_lr(lr, gamma)(9) + torch.constant_lr(lr, factor, iters)(3)
        )

    arguments = 0.3, 0.9, 0.1, 5, 0.01
    chex.assert_trees_all_close(jax.jit(value)(*arguments), value(*arguments), rtol=1e-6)
    rates = jax.vmap(lambda lr: torch.one_cycle_lr(lr, total_steps=10)(2))(jnp.array([0.1, 0.2]))
    chex.assert_trees_all_close(rates, jnp.array([0.1, 0.2]), rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "count", "value"),
    [
        (torch.cosine_annealing_lr(1.0, 1000), 2_000_000_000, 1.0),
        (torch.cosine_annealing_lr(1.0, 1000), 2_000_001_000, 0.0),
        (torch.cosine_annealing_lr(1.0, 1_000_000), 999_999, np.sin(np.pi / 2e6) ** 2),
        (torch.cosine_annealing_warm_restarts(1.0, 1000), 2_000_000_500, 0.5),
        (torch.cosine_annealing_warm_restarts(1.0, 1, 2), LARGEST, 1.0),
        (torch.linear_lr(1.0, 1.0, 0.0, 1_000_000), 999_999, 1e-6),
        (torch.polynomial_lr(1.0, 1_000_000, 2.0), 999_999, 1e-12),
        (torch.step_lr(1.0, 1_000_000_000, 0.5), LARGEST, 0.25),
        (torch.multi_step_lr(1.0, [LARGEST], 0.5), LARGEST, 0.5),
        (torch.exponential_lr(1.0, 0.999999), 3_000_000, 0.999999**3_000_000),
        (torch.cyclic_lr(0.0, 1.0, 2000.0), 2_000_001_000, 0.5),
        (torch.one_cycle_lr(1.0, LARGEST, anneal_strategy="linear"), LARGEST - 1, 4e-6),
        (torch.chained_scheduler([torch.linear_lr(1.0), torch.cosine_annealing_lr(1.0, 1000)]), 2_000_000_000, 1.0),
        (torch.chained_scheduler([torch.linear_lr(1.0), torch.cosine_annealing_lr(1.0, 1000, 0.5)]), 2_000_001_000, 0.5),
        (torch.sequential_lr([torch.linear_lr(1.0), torch.exponential_lr(1.0, 0.5)], [2**30]), 2**30 + 1, 0.5),
    ],
)
def test_large_counts_lose_nothing(schedule, count, value):
    np.testing.assert_allclose(schedule(jnp.asarray(count, jnp.int32)), value, rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("members", [(torch.linear_lr(0.1, total_iters=20), torch.cosine_annealing_lr(0.1, 90))])
def test_the_usual_compositions_need_no_loop(members):
    for schedule in torch.chained_scheduler(members), torch.sequential_lr(members, [20]):
        assert "while" not in str(jax.make_jaxpr(schedule)(3))


def test_a_cycle_of_torch_has_its_highest_one_step_before_that_of_gradtx():
    theirs, ours = torch.one_cycle_lr(1.0, 100), gradtx.schedules.cosine_onecycle_schedule(100, 1.0)
    steps = jnp.arange(100)
    assert (jnp.argmax(theirs(steps)), jnp.argmax(ours(steps))) == (29, 30)


def test_after_a_cycle_the_lowest_learning_rate_stays():
    schedule = torch.one_cycle_lr(1.0, 100, anneal_strategy="linear")
    np.testing.assert_allclose(schedule(jnp.array([99, 101, 10_000])), 4e-6, rtol=1e-6)


LINEAR, CYCLIC, ONE_CYCLE = torch.linear_lr(0.1), torch.cyclic_lr(0.1, 0.2), torch.one_cycle_lr(2.5, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.linear_lr(-0.1), "linear_lr: lr must be at least 0"),
        (lambda: torch.constant_lr(0.1, -0.5), "constant_lr: factor must be above 0 and at most 1, got -0.5"),
        (lambda: torch.constant_lr(0.1, 2.0), "constant_lr: factor must be above 0 and at most 1, got 2.0"),
        (lambda: torch.linear_lr(0.1, 0.0), "linear_lr: start_factor must be above 0 and at most 1"),
        (lambda: torch.linear_lr(0.1, 0.5, 1.5), "linear_lr: end_factor must be at least 0 and at most 1"),
        (lambda: torch.linear_lr(0.1, total_iters=-1), "linear_lr: total_iters must be at least 0"),
        (lambda: torch.polynomial_lr(0.1, power=-1.0), "polynomial_lr: power must be at least 0"),
        (lambda: torch.step_lr(0.1, 0), "step_lr: step_size must be at least 1"),
        (lambda: torch.exponential_lr(0.1, -0.9), "exponential_lr: gamma must be at least 0"),
        (lambda: torch.multi_step_lr(0.1, [-3]), "multi_step_lr: a milestone must be at least 0"),
        (lambda: torch.cosine_annealing_lr(0.1, 0), "cosine_annealing_lr: T_max must be at least 1"),
        (lambda: torch.cosine_annealing_warm_restarts(0.1, 10, 0), "T_mult must be at least 1"),
        (lambda: torch.cyclic_lr(0.1, 0.2, mode="square"), "cyclic_lr: mode must be .*, got 'square'"),
        (lambda: torch.cyclic_lr(0.1, 0.2, scale_mode="both"), 'cyclic_lr: scale_mode must be "cycle" or "iterations"'),
        (lambda: torch.cyclic_lr(0.1, 0.2, 0), "cyclic_lr: step_size_up must be above 0"),
        (lambda: torch.cyclic_momentum(0.1, 0.2, cycle_momentum=False), "cyclic_momentum: with cycle_momentum=False"),
        (lambda: torch.one_cycle_lr(1.0), "one_cycle_lr: give total_steps, or epochs and steps_per_epoch"),
        (lambda: torch.one_cycle_lr(1.0, 10, pct_start=1.5), "one_cycle_lr: pct_start must be at least 0 and at most 1"),
        (lambda: torch.one_cycle_lr(1.0, 10, anneal_strategy="exp"), 'anneal_strategy must be "cos" or "linear"'),
        (lambda: torch.one_cycle_lr(1.0, 10, pct_start=0.1), "ends at the step where it begins; torch divides by 0"),
        (lambda: torch.one_cycle_momentum(1.0, 10, cycle_momentum=False), "one_cycle_momentum: with cycle_momentum=False"),
        (lambda: torch.chained_scheduler([]), "chained_scheduler expects at least one scheduler, got none"),
        (lambda: torch.chained_scheduler([LINEAR, CYCLIC]), "chained_scheduler: put cyclic_lr first"),
        (lambda: torch.chained_scheduler([LINEAR, torch.sequential_lr([CYCLIC], [])]), "or what begins with it"),
        (
            lambda: torch.chained_scheduler([LINEAR, torch.step_lr(0.2, 5)]),
            "has the lr 0.1 when torch makes step_lr, got lr=0.2",
        ),
        (lambda: torch.sequential_lr([ONE_CYCLE, torch.step_lr(0.2, 5)], [9]), "has the lr 0.1 when torch makes step_lr"),
        (lambda: torch.sequential_lr([ONE_CYCLE, torch.one_cycle_lr(1.0, 9)], [9]), "the numbers of one one_cycle_lr"),
        (lambda: torch.sequential_lr([], []), "sequential_lr expects at least one scheduler, got none"),
        (lambda: torch.sequential_lr([LINEAR], [3]), "sequential_lr: 1 schedulers meet at 0 milestones, got 1"),
        (lambda: torch.sequential_lr([LINEAR] * 3, [5, 3]), "sequential_lr: the milestone after 5 must be at least 5"),
        (lambda: torch.sequential_lr([torch.chained_scheduler([LINEAR]), LINEAR], [3]), "does not begin a composition as"),
    ],
)
def test_refuses_what_torch_refuses_or_would_not_do_alike(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.lambda_lr(0.1, 0.9), "lambda_lr: lr_lambda must be a function, got 0.9"),
        (lambda: torch.multiplicative_lr(0.1, [jagged]), "multiplicative_lr: lr_lambda must be a function, got"),
        (lambda: torch.step_lr(0.1, 2.5), "step_lr: step_size must be an integer, got 2.5"),
        (lambda: torch.cosine_annealing_lr(0.1, 10.5), "cosine_annealing_lr: T_max must be an integer, got 10.5"),
        (lambda: torch.one_cycle_lr(1.0, 10.5), "one_cycle_lr: total_steps must be an integer or None, got 10.5"),
        (lambda: torch.sequential_lr([LINEAR] * 2, [2.5]), r"sequential_lr: milestones\[0\] must be an integer, got 2.5"),
        (lambda: torch.chained_scheduler([LINEAR, inverse]), "chained_scheduler takes schedulers of gradtx.interop.torch"),
        (lambda: torch.sequential_lr([LINEAR, gradtx.constant_schedule(0.1)], [3]), "sequential_lr takes schedulers of gradtx"),
    ],
)
def test_refuses_what_is_of_another_kind(call, message):
    with pytest.raises(TypeError, match=message):
        call()
