"""`gradtx memory`."""

import re

import pytest
import zoo
from commands import gradtx as run

import gradtx
from gradtx.cli import main, memory
from gradtx.cli.factories import known_optimizers
from gradtx.cli.memory import stack


@pytest.fixture
def printed(capsys):
    """What a command prints that ends well."""

    def output(*arguments):
        assert main(["memory", *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return output


def rows(output):
    """The table as {what is kept: [dtype, bytes, the same in binary units, bytes per parameter]}."""
    lines = [re.split(r"\s{2,}", line) for line in output.splitlines()]
    return {name: cells for name, *cells in lines if name and cells}


def test_adamw_in_float32_keeps_eight_bytes_beside_the_parameters_and_the_gradients(printed):
    assert printed("--parameters", "7e9", "--optimizer", "adamw") == (
        "adamw() with 7,000,000,000 parameters, taken for 392 matrices of 4,224 by 4,224 and a vector of 5,867,008\n"
        "\n"
        "                     dtype       bytes             per parameter\n"
        "parameters           float32   28.0 GB   26.1 GiB              4\n"
        "gradients            float32   28.0 GB   26.1 GiB              4\n"
        "ScaleByAdamState.mu  float32   28.0 GB   26.1 GiB              4\n"
        "ScaleByAdamState.nu  float32   28.0 GB   26.1 GiB              4\n"
        "total                         112.0 GB  104.3 GiB             16\n"
    )


def test_parameters_gradients_and_the_first_moment_may_be_in_other_dtypes(printed):
    optimizer = ("--optimizer", "adamw", "mu_dtype=bfloat16")
    table = rows(printed("--parameters", "1B", *optimizer, "--dtype", "bfloat16", "--gradients", "float32"))
    assert table["parameters"] == ["bfloat16", "2.0 GB", "1.9 GiB", "2"]
    assert table["gradients"] == ["float32", "4.0 GB", "3.7 GiB", "4"]
    assert table["ScaleByAdamState.mu"] == ["bfloat16", "2.0 GB", "1.9 GiB", "2"]
    assert table["ScaleByAdamState.nu"] == ["float32", "4.0 GB", "3.7 GiB", "4"]
    assert table["total"] == ["12.0 GB", "11.2 GiB", "12"]


def test_gradients_have_the_dtype_of_the_parameters_by_default(printed):
    table = rows(printed("--parameters", 1000, "--optimizer", "sgd", "--dtype", "bfloat16"))
    assert table == {
        "parameters": ["bfloat16", "2.0 kB", "2.0 KiB", "2"],
        "gradients": ["bfloat16", "2.0 kB", "2.0 KiB", "2"],
        "total": ["4.0 kB", "3.9 KiB", "4"],
    }


def test_a_factored_second_moment_takes_next_to_nothing(printed):
    total = rows(printed("--parameters", "7e9", "--optimizer", "adafactor"))["total"]
    assert 8 < float(total[-1]) < 8.01


def test_the_parts_of_the_state_are_those_of_muon_for_matrices_and_of_adam_for_the_rest(printed):
    table = rows(printed("--parameters", "124M", "--optimizer", "muon"))
    assert {"muon: MuonState.mu", "adam: ScaleByAdamState.mu", "adam: ScaleByAdamState.nu"} <= table.keys()


def test_scalars_are_one_row_where_they_count(printed):
    table = rows(printed("--parameters", 10, "--optimizer", "adam"))
    assert table["scalars"] == ["int32", "4 B", "4 B", "0.4"]
    assert table["total"] == ["164 B", "164 B", "16.4"]


def test_optimizers_of_other_libraries_have_their_names(printed):
    assert "keras.adamw(amsgrad=True)" in printed("--parameters", 1000, "--optimizer", "keras.adamw", "amsgrad=True")
    assert "transformers.trainer_adamw()" in printed("--parameters", 1000, "--optimizer", "transformers.trainer_adamw")


def test_what_is_wrong_with_the_optimizer_is_said(printed):
    quiet = printed("--parameters", "1e9", "--optimizer", "adamw", "mu_dtype=bfloat16")
    loud = printed("--parameters", "1e9", "--optimizer", "adamw", "mu_dtype=bfloat16", "b1=0.999")
    assert "!" not in quiet
    assert "\n! ScaleByAdamState.mu is kept in bfloat16, in which it never decays: b1 is 0.999" in loud


def test_the_table_is_written_where_only_ascii_can_be():
    result = run("memory", "--parameters", "7e9", "--optimizer", "adamw", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("parameters", [1, 2, 3, 1000, 10**6 + 1, 7 * 10**9, 10**12])
def test_the_stated_shapes_have_just_so_many_parameters(parameters):
    found = stack(parameters)
    assert found.width**2 * found.matrices + found.rest == parameters
    assert sum(shape.size for shape in found.shapes("float32")) == parameters


def test_a_large_model_is_as_wide_as_transformers_of_its_size():
    assert stack(7 * 10**9).shapes("float32")[0].shape == (4224, 4224)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon", "lbfgs", "prodigy", "sm3", "galore"])
def test_of_many_matrices_a_few_are_looked_at(optimizer, printed, monkeypatch):
    """Which is exact: each of them adds as much as the one before."""
    arguments = ("--parameters", "1e6", "--optimizer", optimizer)
    expected = printed(*arguments)
    monkeypatch.setattr(memory, "MANY", 2)
    assert printed(*arguments) == expected


@pytest.mark.parametrize("parameters", ["1e30", "1_000_000T"])
def test_any_number_of_parameters_is_counted_exactly_and_at_once(parameters, printed):
    count = {"1e30": 10**30, "1_000_000T": 10**18}[parameters]
    output = printed("--parameters", parameters, "--optimizer", "adamw")
    assert f"adamw() with {count:,} parameters" in output
    assert rows(output)["total"][-1] == "16"


def test_every_optimizer_is_known():
    made = {zoo.public_name(label) for label in zoo.TRANSFORMATIONS}
    optimizers = {name for name in made if getattr(gradtx, name).__module__.startswith("gradtx.optimizers")}
    assert {name for name in optimizers if not name.startswith("scale_by")} <= known_optimizers().keys()


def test_it_is_a_command():
    result = run("memory", "--parameters", "1e6", "--optimizer", "lion")
    assert result.returncode == 0, result.stderr
    assert rows(result.stdout)["total"] == ["12.0 MB", "11.4 MiB", "12"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--parameters", "1", "--optimizer", "adamm"], ["unknown optimizer 'adamm'", "did you mean adam"]),
        (["--parameters", "1", "--optimizer", "scale_by_adam"], ["unknown optimizer 'scale_by_adam'"]),
        (["--parameters", "1", "--optimizer", "adam", "b3=0"], ["adam has no argument 'b3'", "b2"]),
        (["--parameters", "1", "--optimizer", "adam", "b2"], ["--optimizer", "name=value", "'b2'"]),
        (["--parameters", "1", "--optimizer", "adam", "b2=2"], ["adam: b2 must be", "got 2"]),
        (["--parameters", "1", "--optimizer", "dpsgd"], ["dpsgd needs l2_norm_clip and noise_multiplier"]),
        (["--parameters", "1", "--optimizer", "torch.muon"], ["for a vector of 1", "partition"]),
        (["--parameters", "many", "--optimizer", "adam"], ["--parameters", "'many'"]),
        (["--parameters", "0.5", "--optimizer", "adam"], ["--parameters", "at least 1"]),
        (["--parameters", "1e31", "--optimizer", "adam"], ["--parameters", "at most 1e30", "'1e31'"]),
        (["--parameters", "1e999999999", "--optimizer", "adam"], ["--parameters", "'1e999999999'"]),
        (["--parameters", "nan", "--optimizer", "adam"], ["--parameters", "'nan'"]),
        (["--parameters", "-7B", "--optimizer", "adam"], ["--parameters"]),
        (["--parameters", "1", "--optimizer", "adam", "--dtype", "int8"], ["--dtype", "int8", "float32"]),
        (["--optimizer", "adam"], ["--parameters"]),
        (["--parameters", "1"], ["--optimizer"]),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments, words, refused):
    refused(["memory", *arguments], *words)
