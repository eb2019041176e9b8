"""`gradtx schedule`."""

import subprocess
import sys

import matplotlib.image
import pytest
import zoo
from commands import gradtx as run

from gradtx.cli import main
from gradtx.cli.factories import known_schedules

WARMUP = ["warmup_cosine_decay_schedule", "init_value=0", "peak_value=3e-4", "warmup_steps=100", "decay_steps=1000"]


@pytest.fixture
def printed(capsys):
    """What a command prints that ends well."""

    def output(*arguments):
        assert main(["schedule", *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return output


def test_the_values_at_some_steps_are_a_table(printed):
    assert printed(*WARMUP, "--steps", 0, 100, 550, 1000) == (
        "warmup_cosine_decay_schedule(init_value=0, peak_value=0.0003, warmup_steps=100, decay_steps=1000)\n"
        "\n"
        "step  value\n"
        "   0  0\n"
        " 100  0.0003\n"
        " 550  0.00015\n"
        "1000  0\n"
    )


def test_without_steps_powers_of_ten_are_taken(printed):
    lines = printed("constant_schedule", "value=0.5").splitlines()
    assert [line.split() for line in lines[3:]] == [[str(step), "0.5"] for step in (0, 1, 10, 100, 1000, 10000)]


def test_without_a_name_all_schedules_are_listed_but_those_made_of_functions(printed):
    names = set(printed().split())
    made_of_schedules = {"corrected_weight_decay_schedule", "join_schedules", "scaled_schedule"}
    assert {zoo.public_name(label) for label in zoo.SCHEDULES} - made_of_schedules <= names
    assert {"torch.one_cycle_lr", "torch.cyclic_lr", "keras.cosine_decay", "transformers.get_wsd_schedule"} <= names
    assert not names & {*made_of_schedules, "torch.lambda_lr", "torch.chained_scheduler", "torch.adam"}


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["torch.one_cycle_lr", "max_lr=0.5", "total_steps=11", "--steps", 10], 0.5 / 25 / 1e4),
        (["keras.cosine_decay", "initial_learning_rate=1", "decay_steps=10", "alpha=0.25", "--steps", 10], 0.25),
        (
            ["transformers.get_scheduler", "name=linear", "lr=1", "num_warmup_steps=2", "num_training_steps=10", "--steps", 4],
            0.75,
        ),
        (["piecewise_constant_schedule", "init_value=1", "boundaries_and_scales={5: 0.5}", "--steps", 6], 0.5),
        (["exponential_decay", "init_value=1", "transition_steps=2", "decay_rate=.5", "staircase=True", "--steps", 3], 0.5),
        (["exponential_decay", "init_value=1", "transition_steps=1", "decay_rate=.5", "staircase=false", "--steps", 1], 0.5),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_values_may_be_what_python_writes_and_schedules_those_of_other_libraries(arguments, last, printed):
    assert float(printed(*arguments).split()[-1]) == pytest.approx(last, rel=1e-5)


def test_a_schedule_is_drawn(printed, tmp_path):
    path = tmp_path / "picture.png"
    assert printed(*WARMUP, "--steps", 1000, "--plot", path).endswith(f"\nwrote {path}\n")
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 500
    assert len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1])}) > 50


LINE = ["linear_schedule", "init_value=1", "end_value=0", "transition_steps=100"]


def test_several_schedules_have_a_column_each(printed):
    assert printed(*LINE, "constant_schedule", "value=.5", "--steps", 0, 50) == (
        "1  linear_schedule(init_value=1, end_value=0, transition_steps=100)\n"
        "2  constant_schedule(value=0.5)\n"
        "\n"
        "step  1    2\n"
        "   0  1    0.5\n"
        "  50  0.5  0.5\n"
    )


@pytest.mark.parametrize(("suffix", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")])
def test_the_suffix_says_the_format_of_the_picture_of_several(suffix, head, printed, tmp_path):
    path = tmp_path / f"picture.{suffix}"
    printed(*LINE, *WARMUP, "--plot", path)
    assert path.read_bytes().startswith(head)
    if suffix == "svg":
        picture = path.read_text()
        assert "linear_schedule(init_value=1" in picture
        assert "warmup_cosine_decay_schedule(init_value=0" in picture


def test_the_table_opens_no_heavy_library():
    heavy = ("matplotlib", "rich", "sklearn")
    program = (
        "import sys; from gradtx.cli import main\n"
        f"main(['schedule', 'constant_schedule', 'value=1'])\nprint([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.endswith("\n[]\n")


def test_it_is_a_command():
    result = run("schedule", "constant_schedule", "value=1", "--steps", 3)
    assert (result.returncode, result.stdout) == (0, "constant_schedule(value=1)\n\nstep  value\n   3  1\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cosine_decay"], ["unknown schedule 'cosine_decay'", "did you mean", "cosine_decay_schedule", "keras.cosine_decay"]),
        (["Cosine"], ["did you mean", "cosine_onecycle_schedule", "warmup_cosine_decay_schedule", "keras.cosine_decay"]),
        (["wsd"], ["unknown schedule 'wsd'", "did you mean transformers.get_wsd_schedule?"]),
        (["value=1", "constant_schedule"], ["the name of a schedule comes before", "value=1"]),
        (["constant_schedule", "value=1", "zzz"], ["unknown schedule 'zzz'"]),
        (["zzz"], ["unknown schedule 'zzz'", "known are ademamix_decay_schedule"]),
        (["torch.adam"], ["unknown schedule 'torch.adam'"]),
        (["constant_schedule"], ["constant_schedule needs value", "value=..."]),
        (["linear_schedule", "init_value=1"], ["linear_schedule needs end_value and transition_steps"]),
        (["cosine_decay_schedule", "init_valu=1"], ["has no argument 'init_valu'", "did you mean init_value?"]),
        (["constant_schedule", "zzz=1"], ["has no argument 'zzz'", "it takes value"]),
        (["constant_schedule", "0.1"], ["ARGUMENT=VALUE", "name=value", "'0.1'"]),
        (["constant_schedule", "value=high"], ["value must be a number", "'high'"]),
        (["cosine_decay_schedule", "init_value=1", "decay_steps=-1"], ["decay_steps must be at least 1", "-1"]),
        (["constant_schedule", "value=1", "--steps", "-1"], ["--steps", "whole number", "-1"]),
        (["constant_schedule", "value=1", "--steps", "many"], ["--steps", "whole number", "'many'"]),
        (["constant_schedule", "value=1", "--plot", "no/such/picture.png"], ["--plot", "no/such"]),
        (["constant_schedule", "value=1", "--plot", "picture.gif"], ["--plot", "png, svg, pdf", "picture.png"]),
        (["constant_schedule", "value=1", "--steps", "0", "--plot", "picture.png"], ["--plot", "step 0", "nothing to draw"]),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments, words, refused):
    refused(["schedule", *arguments], *words)


def test_without_matplotlib_the_command_that_installs_it_is_named(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('No module named matplotlib', name='matplotlib')")
    result = run("schedule", "constant_schedule", "value=1", "--plot", tmp_path / "picture.png", PYTHONPATH=str(tmp_path))
    assert result.returncode == 2
    assert result.stderr == 'gradtx schedule: matplotlib is not installed: pip install "gradtx[demo]"\n'


def test_every_known_schedule_is_made_by_a_factory_of_gradtx():
    assert all(made.__module__.startswith("gradtx.") for made in known_schedules().values())
