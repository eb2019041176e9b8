"""`gradtx memory`."""

import re
from pathlib import Path

import pytest
import zoo
from commands import gradtx as run

import gradtx
from gradtx.cli import main, memory
from gradtx.cli.factories import known_optimizers
from gradtx.cli.memory import stack

GUIDE = Path(__file__).parents[2] / "notebooks" / "guides" / "low_memory.md"


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


def test_adamw_in_float32_keeps_eight_bytes_beside_the_parameters(printed):
    assert printed("--parameters", "7e9", "--optimizer", "adamw") == (
        "adamw() with 7,000,000,000 parameters, taken for 392 matrices of 4,224 by 4,224 and a vector of 5,867,008\n"
        "\n"
        "                     dtype       bytes             per parameter\n"
        "parameters           float32   28.0 GB   26.1 GiB              4\n"
        "ScaleByAdamState.mu  float32   28.0 GB   26.1 GiB              4\n"
        "ScaleByAdamState.nu  float32   28.0 GB   26.1 GiB              4\n"
        "total                          84.0 GB   78.2 GiB             12\n"
        "gradients            float32   28.0 GB   26.1 GiB              4\n"
        "peak of an update             112.0 GB  104.3 GiB             16\n"
    )


def test_parameters_gradients_and_the_first_moment_may_be_in_other_dtypes(printed):
    optimizer = ("--optimizer", "adamw", "mu_dtype=bfloat16")
    table = rows(printed("--parameters", "1B", *optimizer, "--dtype", "bfloat16", "--gradients", "float32"))
    assert table["parameters"] == ["bfloat16", "2.0 GB", "1.9 GiB", "2"]
    assert table["gradients"] == ["float32", "4.0 GB", "3.7 GiB", "4"]
    assert table["ScaleByAdamState.mu"] == ["bfloat16", "2.0 GB", "1.9 GiB", "2"]
    assert table["ScaleByAdamState.nu"] == ["float32", "4.0 GB", "3.7 GiB", "4"]
    assert table["total"] == ["8.0 GB", "7.5 GiB", "8"]
    assert table["peak of an update"] == ["12.0 GB", "11.2 GiB", "12"]


def test_gradients_have_the_dtype_of_the_parameters_by_default(printed):
    table = rows(printed("--parameters", 1000, "--optimizer", "sgd", "--dtype", "bfloat16"))
    assert table == {
        "parameters": ["bfloat16", "2.0 kB", "2.0 KiB", "2"],
        "total": ["2.0 kB", "2.0 KiB", "2"],
        "gradients": ["bfloat16", "2.0 kB", "2.0 KiB", "2"],
        "peak of an update": ["4.0 kB", "3.9 KiB", "4"],
    }


def test_a_factored_second_moment_takes_next_to_nothing(printed):
    assert rows(printed("--parameters", "7e9", "--optimizer", "adafactor"))["total"] == ["28.0 GB", "26.1 GiB", "4.01"]


def test_the_parts_of_the_state_are_those_of_muon_for_matrices_and_of_adam_for_the_rest(printed):
    table = rows(printed("--parameters", "124M", "--optimizer", "muon"))
    assert {"muon: MuonState.mu", "adam: ScaleByAdamState.mu", "adam: ScaleByAdamState.nu"} <= table.keys()


def test_scalars_are_one_row_where_they_count(printed):
    table = rows(printed("--parameters", 10, "--optimizer", "adam"))
    assert table["scalars"] == ["int32", "4 B", "4 B", "0.4"]
    assert table["total"] == ["124 B", "124 B", "12.4"]


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


@pytest.mark.parametrize(
    ("arguments", "per_parameter", "total", "gradients"),
    [
        (["--dtype", "float32"], "12", "84.0 GB", "28.0 GB"),
        (["--dtype", "bfloat16"], "10", "70.0 GB", "14.0 GB"),
        (["--dtype", "bfloat16", "--compensated"], "12", "84.0 GB", "14.0 GB"),
        (["--quantized", "8"], "6.03", "42.2 GB", "28.0 GB"),
        (["--dtype", "bfloat16", "--compensated", "--quantized", "8"], "6.03", "42.2 GB", "14.0 GB"),
        (["--dtype", "bfloat16", "--stochastically-rounded", "--quantized", "8"], "4.03", "28.2 GB", "14.0 GB"),
        (["--dtype", "bfloat16", "--stochastically-rounded", "--quantized", "4"], "3.06", "21.4 GB", "14.0 GB"),
    ],
)
def test_a_large_model_takes_what_low_precision_promises(arguments, per_parameter, total, gradients, printed):
    table = rows(printed("--parameters", "7e9", "--optimizer", "adamw", *arguments))
    assert (table["total"][0], table["total"][-1]) == (total, per_parameter)
    assert table["gradients"][1] == gradients


def test_the_ways_to_train_in_less_memory_are_compared_as_the_guide_shows(printed):
    lines = printed("--parameters", "7e9", "--optimizer", "adamw", "--compare").partition("\n\n")[2]
    assert f"```text\n{lines}```" in GUIDE.read_text(encoding="utf-8")
    found = [re.split(r"\s{2,}", line)[:5] for line in lines.splitlines()[1:]]
    assert found == [
        ["adamw()", "float32", "12", "84.0 GB", "28.0 GB"],
        ["adamw()", "bfloat16", "10", "70.0 GB", "14.0 GB"],
        ["adamw()", "bfloat16 with a float32 copy", "14", "98.0 GB", "14.0 GB"],
        ["compensated(adamw())", "bfloat16", "12", "84.0 GB", "14.0 GB"],
        ["quantized(adamw())", "float32", "6.03", "42.2 GB", "28.0 GB"],
        ["compensated(quantized(adamw()))", "bfloat16", "6.03", "42.2 GB", "14.0 GB"],
        ["stochastically_rounded(quantized(adamw()), key)", "bfloat16", "4.03", "28.2 GB", "14.0 GB"],
        ["stochastically_rounded(quantized(adamw(), bits=4), key)", "bfloat16", "3.06", "21.4 GB", "14.0 GB"],
    ]


def test_what_cannot_be_compared_is_named_with_the_reason(printed):
    output = printed("--parameters", 700, "--optimizer", "adam", "--compare")
    assert "\n! quantized(adam()), compensated(quantized(adam())), stoch" in output
    assert "key): quantized: nothing is quantized" in output
    assert rows(output)["compensated(adam())"][:2] == ["bfloat16", "12.01"]


def test_gradients_of_another_dtype_are_compared(printed):
    table = rows(printed("--parameters", "1e9", "--optimizer", "sgd", "--compare", "--gradients", "float32"))
    assert table["compensated(sgd())"] == ["bfloat16", "4", "4.0 GB", "4.0 GB", "12.0 GB"]


def test_the_state_and_the_temporaries_are_those_of_the_wrappers(printed):
    arguments = ("--dtype", "bfloat16", "--compensated", "--quantized", "4")
    output = printed("--parameters", "7e9", "--optimizer", "adamw", *arguments)
    assert output.startswith("compensated(quantized(adamw(), bits=4)) with 7,000,000,000 parameters")
    table = rows(output)
    assert table["CompensatedState.low"] == ["int16", "14.0 GB", "13.0 GiB", "2"]
    assert table["ScaleByAdamState.mu"] == table["ScaleByAdamState.nu"] == ["4 bit", "3.7 GB", "3.5 GiB", "0.53"]
    assert table["temporaries of an update"] == ["float32", "28.1 GB", "26.2 GiB", "4.02"]
    assert table["peak of an update"] == ["77.6 GB", "72.3 GiB", "11.08"]


def test_what_rests_on_the_host_comes_back_for_the_update(printed):
    output = printed("--parameters", "7e9", "--optimizer", "adamw", "--dtype", "bfloat16", "--compensated", "--offloaded")
    assert output.startswith("offloaded(compensated(adamw())) with")
    table = rows(output)
    assert table["total"] == ["84.0 GB", "78.2 GiB", "12"]
    assert table["of it on the host"] == ["70.0 GB", "65.2 GiB", "10"]
    assert table["peak of an update"] == ["126.0 GB", "117.3 GiB", "18"]
    assert "host" not in printed("--parameters", "7e9", "--optimizer", "adamw")


def test_steps_of_a_rate_that_was_given_or_starts_low_are_said_to_be_rounded_away(printed):
    def loud(*optimizer):
        return "rounded away" in printed("--parameters", "1e6", "--optimizer", *optimizer, "--dtype", "bfloat16")

    assert loud("adamw", "learning_rate=1e-4")
    assert loud("prodigy")
    assert not loud("adamw", "learning_rate=1e-2")
    assert not loud("adamw")


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon", "lbfgs", "prodigy", "sm3", "galore"])
def test_of_many_matrices_a_few_are_looked_at(optimizer, printed, monkeypatch):
    """Which is exact: each of them adds as much as the one before."""
    arguments = ("--parameters", "1e6", "--optimizer", optimizer, "--dtype", "bfloat16")
    arguments += ("--compensated", "--quantized", "8", "--offloaded")
    expected = printed(*arguments)
    monkeypatch.setattr(memory, "MANY", 2)
    assert printed(*arguments) == expected


@pytest.mark.parametrize("parameters", ["1e30", "1_000_000T"])
def test_any_number_of_parameters_is_counted_exactly_and_at_once(parameters, printed):
    count = {"1e30": 10**30, "1_000_000T": 10**18}[parameters]
    output = printed("--parameters", parameters, "--optimizer", "adamw")
    assert f"adamw() with {count:,} parameters" in output
    assert rows(output)["total"][-1] == "12"


def test_every_optimizer_is_known():
    made = {zoo.public_name(label) for label in zoo.TRANSFORMATIONS}
    optimizers = {name for name in made if getattr(gradtx, name).__module__.startswith("gradtx.optimizers")}
    assert {name for name in optimizers if not name.startswith("scale_by")} <= known_optimizers().keys()


def test_a_mesh_of_a_thousand_devices_is_planned_without_one(printed):
    arguments = ("--parameters", "7e9", "--optimizer", "adamw", "--mesh", "data=64,model=16")
    assert printed(*arguments) == (
        "adamw() with 7,000,000,000 parameters, taken for 392 matrices of 4,224 by 4,224 and a vector of 5,867,008, "
        "split P('data', 'model') on 1,024 devices\n"
        "\n"
        "                     dtype       bytes             per parameter  per device\n"
        "parameters           float32   28.0 GB   26.1 GiB              4     27.7 MB\n"
        "ScaleByAdamState.mu  float32   28.0 GB   26.1 GiB              4     27.7 MB\n"
        "ScaleByAdamState.nu  float32   28.0 GB   26.1 GiB              4     27.7 MB\n"
        "total                          84.0 GB   78.2 GiB             12     83.1 MB\n"
        "gradients            float32   28.0 GB   26.1 GiB              4     27.7 MB\n"
        "peak of an update             112.0 GB  104.3 GiB             16    110.8 MB\n"
    )


def test_copied_parameters_and_a_divided_state_are_planned(printed):
    optimizer = ("--optimizer", "adamw", "--dtype", "bfloat16", "--quantized", "8")
    output = printed("--parameters", "7e9", *optimizer, "--mesh", "data=8,model=2", "--sharded", "data")
    assert output.startswith("sharded(quantized(adamw()), 'data') with 7,000,000,000 parameters")
    table = rows(output)
    assert table["parameters"][-1] == table["gradients"][-1] == "7.0 GB"
    assert table["ScaleByAdamState.mu"][:-1] == ["8 bit", "7.1 GB", "6.6 GiB", "1.02"]
    assert (
        table["ScaleByAdamState.mu"][-1] == table["ScaleByAdamState.nu"][-1] == "546.9 MB"
    )  # scales of blocks across rows are whole


def test_many_matrices_on_a_mesh_are_counted_as_a_few_are(printed, monkeypatch):
    arguments = ("--parameters", "1e6", "--optimizer", "adafactor", "--mesh", "a=2,b=2,c=2", "--sharded", "a")
    expected = printed(*arguments)
    monkeypatch.setattr(memory, "MANY", 2)
    assert printed(*arguments) == expected


def test_it_is_a_command():
    result = run("memory", "--parameters", "1e6", "--optimizer", "lion")
    assert result.returncode == 0, result.stderr
    assert rows(result.stdout)["total"] == ["8.0 MB", "7.6 MiB", "8"]


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
        (["--parameters", "1e6", "--optimizer", "adam", "--compensated"], ["compensated: no parameter has 16 bits"]),
        (["--parameters", "100", "--optimizer", "adam", "--quantized", "8"], ["nothing is quantized", "min_size"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--quantized", "2"], ["--quantized", "2", "8, 4"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--quantized", "8", "--compare"], ["--compare", "--quantized"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--offloaded", "--compare"], ["--compare", "--offloaded"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--dtype", "bfloat16", "--compare"], ["--compare", "--dtype"]),
        (
            ["--parameters", "1", "--optimizer", "adam", "--compensated", "--stochastically-rounded"],
            ["--stochastically-rounded", "not allowed with", "--compensated"],
        ),
        (["--parameters", "1e6", "--optimizer", "adam", "--mesh", "data=x"], ["--mesh", "data=64,model=16", "'data=x'"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--mesh", "data"], ["--mesh", "'data'"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--mesh", "a=2,a=2"], ["--mesh", "'a=2,a=2'"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--mesh", "data=7"], ["--mesh cannot split", "7 devices"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--sharded", "data"], ["--sharded has 'data'", "--mesh has no axis"]),
        (["--parameters", "1e6", "--optimizer", "adam", "--mesh", "data=2", "--compare"], ["--compare", "--mesh"]),
        (["--optimizer", "adam"], ["--parameters"]),
        (["--parameters", "1"], ["--optimizer"]),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments, words, refused):
    refused(["memory", *arguments], *words)
