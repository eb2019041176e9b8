"""`gradtx race`."""

import json
import math
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from commands import assert_refused_in_one_line
from commands import gradtx as run

import gradtx
from gradtx.cli import main
from gradtx.cli.race_report import spread
from gradtx.cli.race_runs import Entrant, Run, Trainer, best_of, tuned
from gradtx.cli.tasks import TASKS, Task
from gradtx.testing.events import COMPILED, compiler_events

QUICK = ("--steps", "20", "--budget", "3", "--seeds", "2")


@pytest.fixture
def raced(tmp_path, capsys):
    """What a race prints, and all its numbers."""

    def race(*arguments):
        path = tmp_path / "race.json"
        assert main(["race", *map(str, arguments), "--json", str(path)]) == 0
        return capsys.readouterr().out, json.loads(path.read_text())

    return race


def without_seconds(numbers):
    if isinstance(numbers, dict):
        return {key: without_seconds(each) for key, each in numbers.items() if "seconds" not in key}
    return [without_seconds(each) for each in numbers] if isinstance(numbers, list) else numbers


# --- the command ----------------------------------------------------------------------------------------------------------


def test_optimizers_race_on_digits(raced, tmp_path):
    picture = tmp_path / "race.png"
    output, numbers = raced("digits", *QUICK, "--optimizers", "adamw,lion", "sgd", "momentum=0.9", "--plot", picture)
    assert list(numbers["optimizers"]) == ["adamw", "lion", "sgd(momentum=0.9)"]
    assert (numbers["tuning_seed"], numbers["seeds"], numbers["budget"]) == (0, [1, 2], 3)
    for each in numbers["optimizers"].values():
        assert len(each["held_out_loss_by_rate"]) == 3
        for one in each["runs"]:
            assert one["steps"] == list(range(21))
            assert len(one["losses"]) == len(one["seconds"]) == 21
            assert one["seconds"] == sorted(one["seconds"])
    adamw = numbers["optimizers"]["adamw"]
    assert numbers["target"] == max(run["losses"][-1] for run in adamw["runs"])
    assert all(0 < run["steps_to_target"] <= 20 for run in adamw["runs"])
    assert adamw["state_bytes_per_parameter"] == pytest.approx(8, rel=1e-3)
    assert "that adamw reaches from every seed" in output
    assert "Tuning: 3 runs for each optimizer" in output
    assert f"wrote {picture}" in output
    pixels = matplotlib.image.imread(picture)
    assert len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1])}) > 100  # not blank


def test_equal_commands_give_equal_numbers_but_for_the_seconds(raced):
    command = ("digits", *QUICK, "--optimizers", "adamw")
    first = without_seconds(raced(*command)[1])
    assert without_seconds(raced(*command)[1]) == first
    assert without_seconds(raced(*command, "--seed", 7)[1]) != first


def test_without_adamw_and_a_target_adamw_takes_part(raced):
    assert list(raced("rosenbrock", *QUICK, "--optimizers", "lion")[1]["optimizers"]) == ["adamw", "lion"]
    output, numbers = raced("rosenbrock", *QUICK, "--optimizers", "lion", "--target", 0.5)
    assert list(numbers["optimizers"]) == ["lion"]
    assert "a held-out loss of 0.5, as given" in output


def test_a_target_may_never_be_reached(raced):
    output, numbers = raced("digits", *QUICK, "--optimizers", "sgd", "--target", 1e-9)
    assert "never" in output
    assert [run["steps_to_target"] for run in numbers["optimizers"]["sgd"]["runs"]] == [None, None]


def test_the_paths_on_a_function_of_two_numbers_are_drawn(raced, tmp_path):
    picture = tmp_path / "race.svg"
    _, numbers = raced("rosenbrock", *QUICK, "--optimizers", "adamw", "--plot", picture)
    run = numbers["optimizers"]["adamw"]["runs"][0]
    points = np.asarray(run["points"])
    assert points.shape == (21, 2)
    np.testing.assert_allclose([(1 - x) ** 2 + 100 * (y - x * x) ** 2 for x, y in points], run["losses"], rtol=1e-4)
    assert "paths from seed 1" in picture.read_text()


def test_schedule_free_optimizers_hold_their_rate(raced):
    options = ("--optimizers", "schedule_free_adamw", "--target", "1")
    assert "schedule_free_adamw holds it" in raced("digits", *QUICK, *options)[0]


def test_a_best_rate_at_an_end_is_told(raced):
    output, _ = raced("digits", *QUICK, "--optimizers", "sgd", "--target", 1, "--rates", 1e-5, 1e-4)
    assert "! sgd: its best rate, 0.0001, is at an end of --rates" in output


def test_the_help_says_how_it_is_measured_and_opens_no_heavy_library():
    heavy = ("matplotlib", "rich", "sklearn")
    program = (
        "import sys; from gradtx.cli import main\n"
        "try: main(['race', '--help'])\n"
        f"finally: print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "[]\n")
    for words in ("--optimizers", "--budget", "--target", "--json", "rosenbrock", "same number of runs to tune"):
        assert words in result.stdout


def test_it_is_a_command():
    result = run("race", "rosenbrock", *QUICK, "--optimizers", "adamw")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"^ *adamw +\S+ +\d+ ", result.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digit"], ["unknown task 'digit'", "tasks are digits, characters, rosenbrock"]),
        ([], ["TASK"]),
        (["digits", "--optimizers", "adamm"], ["unknown optimizer 'adamm'", "did you mean adam"]),
        (["digits", "--optimizers", ","], ["--optimizers", "','"]),
        (["digits", "--optimizers", "b2=0.9"], ["the name of an optimizer comes before", "b2=0.9"]),
        (["digits", "--optimizers", "adam", "b3=0.9"], ["adam has no argument 'b3'", "b2"]),
        (["digits", "--optimizers", "adam", "b2=2"], ["adam: b2 must be", "got 2"]),
        (["digits", "--optimizers", "adam", "learning_rate=1"], ["adam: the race tunes learning_rate", "--rates"]),
        (["digits", "--optimizers", "polyak_sgd"], ["polyak_sgd has no learning rate"]),
        (["digits", "--optimizers", "transformers.greedy_lr"], ["greedy_lr: lr must be a number, got a function"]),
        (["digits", "--optimizers", "torch.muon"], ["torch.muon", "not a matrix"]),
        (["digits", "--budget", "1"], ["--budget", "at least 2"]),
        (["digits", "--seeds", "0"], ["--seeds", "at least 1"]),
        (["digits", "--steps", "0"], ["--steps", "at least 1"]),
        (["digits", "--rates", "1", "0.1"], ["--rates", "LOW must be below HIGH", "1 0.1"]),
        (["digits", "--rates", "1"], ["--rates", "2 arguments"]),
        (["digits", "--target", "0"], ["--target", "above 0"]),
        (["digits", "--plot", "race.gif"], ["--plot", "png, svg, pdf"]),
        (["digits", "--json", "no/such/file.json"], ["--json", "no/such"]),
        (["digits", "--json", "."], ["--json", "is a directory"]),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments, words, refused):
    refused(["race", *arguments], *words)


def test_a_reference_that_explodes_is_refused(refused):
    options = ["--optimizers", "adamw", "--rates", "1e30", "1e35", "--budget", "2", "--seeds", "1", "--steps", "20"]
    refused(["race", "rosenbrock", *options], "adamw, whose loss is the target, has exploded", "--target")


def test_without_scikit_learn_the_command_that_installs_it_is_named(tmp_path):
    (tmp_path / "sklearn.py").write_text("raise ModuleNotFoundError('No module named sklearn', name='sklearn')")
    result = run("race", "digits", *QUICK, PYTHONPATH=str(tmp_path))
    assert_refused_in_one_line(result, 'gradtx race: sklearn is not installed: pip install "gradtx[demo]"')


# --- the runs -------------------------------------------------------------------------------------------------------------


def bowl() -> Task:
    """A loss whose least value is 0 at 0, from 1; gradient descent at a rate r shrinks the parameter by 1 - r."""
    return Task(lambda key: jnp.ones(1), lambda p, _: jnp.sum(p**2) / 2, lambda key: None, lambda p: jnp.sum(p**2) / 2, 10)


def test_a_run_is_that_of_a_loop_in_python():
    task, steps = TASKS["digits"](), 6
    run = Trainer(task, Entrant("adamw", gradtx.adamw), steps).run(3e-3, seed=5, evaluations=3)
    fresh, drawn = jax.random.split(jax.random.key(5))
    params = task.init(fresh)
    tx = gradtx.adamw(gradtx.cosine_decay_schedule(3e-3, steps))
    state, losses = tx.init(params), [task.held_out_loss(params)]
    for step in range(steps):
        gradients = jax.grad(task.loss)(params, task.draw(jax.random.fold_in(drawn, step)))
        updates, state = tx.update(gradients, state, params)
        params = gradtx.apply_updates(params, updates)
        losses.append(task.held_out_loss(params))
    np.testing.assert_array_equal(run.steps, [0, 2, 4, 6])
    np.testing.assert_allclose(run.losses, losses[::2], rtol=1e-4)


def test_schedule_free_is_evaluated_at_its_average():
    entrant = Entrant("schedule_free_sgd", gradtx.schedule_free_sgd, holds_rate=True)
    run = Trainer(bowl(), entrant, 5).run(0.1, seed=0, evaluations=5)
    tx, params = gradtx.schedule_free_sgd(0.1), jnp.ones(1)
    state = tx.init(params)
    for _ in range(5):
        updates, state = tx.update(params, state, params)
        params = gradtx.apply_updates(params, updates)
    assert run.last_loss == pytest.approx(float(jnp.sum(gradtx.eval_params(state, params) ** 2) / 2), rel=1e-5)
    assert run.last_loss != pytest.approx(float(jnp.sum(params**2) / 2), rel=1e-3)


def test_an_optimizer_is_compiled_once_for_all_rates_and_seeds():
    trainer = Trainer(bowl(), Entrant("adamw", gradtx.adamw), 10)
    trainer.run(0.1, 0, 3)
    with compiler_events(COMPILED) as compiled:
        for rate, seed in ((0.1, 1), (1.0, 2)):
            trainer.run(rate, seed, 3)
    assert not compiled


def test_every_optimizer_is_tuned_by_the_same_number_of_runs_and_the_last_are_near_the_best():
    def loss(rate):
        return (math.log10(rate) + 1.3) ** 2

    for budget in (2, 3, 10):
        tried = tuned(loss, 1e-5, 10.0, budget)
        assert len(tried) == budget
        assert list(tried) == sorted(tried)
    assert math.log10(best_of(tried)) == pytest.approx(-1.3, abs=0.2)


def test_of_rates_that_explode_none_is_taken():
    tried = tuned(lambda rate: math.inf if rate > 1e-3 else 1.0, 1e-5, 10.0, 10)
    assert best_of(tried) == pytest.approx(1e-5)
    assert all(rate <= 1e-3 for rate, loss in tried.items() if loss == 1.0)


def test_the_target_is_reached_on_a_line_between_evaluations():
    run = Run(np.asarray([0, 10, 20]), np.asarray([0.0, 1.0, 3.0]), np.asarray([4.0, 2.0, 1.0]), None)
    assert run.until(3.0) == (5.0, 0.5)
    assert run.until(1.0) == (20.0, 3.0)
    assert run.until(5.0) == (0.0, 0.0)
    assert run.until(0.5) == (math.inf, math.inf)
    exploded = run._replace(losses=np.asarray([4.0, np.nan, np.nan]))
    assert exploded.last_loss == math.inf
    assert exploded.until(3.0) == (math.inf, math.inf)


def test_a_spread_is_a_median_and_a_range():
    assert spread([3.0, 1.0, 2.0], str) == ("2.0", "1.0–3.0")
    assert spread([1.0, math.inf, math.inf], str) == ("never", "1.0–never")
    assert spread([math.inf], str, "exploded") == ("exploded", "")
