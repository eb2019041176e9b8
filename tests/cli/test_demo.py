"""`gradtx demo`, run as a user runs it: as a process."""

import re
import subprocess
import sys

import matplotlib.image
import pytest
from commands import assert_refused_in_one_line
from commands import gradtx as run

import gradtx
from gradtx.cli import SUBCOMMANDS, digits, main, training


def demo(*arguments, **environment):
    return run("demo", *arguments, **environment)


def rows(stdout):
    """The table as {optimizer: [learning rate, accuracy, test loss, time per step, state size]}."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in stdout.splitlines()]
    return {name: cells for name, *cells in lines if len(cells) == 5 and name != "optimizer"}


def test_the_version_is_that_of_the_package():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"gradtx {gradtx.__version__}\n")


def test_the_help_names_every_option_and_opens_no_heavy_library():
    heavy = ("matplotlib", "rich", "sklearn")
    program = (
        "import sys; from gradtx.cli import main\n"
        "try: main(['demo', '--help'])\n"
        f"finally: print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0
    assert result.stderr == "[]\n"
    for option in ("--optimizers", "--epochs", "--batch-size", "--learning-rate", "--seed", "--output"):
        assert option in result.stdout


def test_all_optimizers_are_compared_and_adamw_reads_the_digits(tmp_path):
    path = tmp_path / "picture.png"
    result = demo("--output", path, "--epochs", 10)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert f"wrote {path}" in result.stdout

    table = rows(result.stdout)
    assert list(table) == ["sgd", "rmsprop", "adam", "adamw", "lion"]
    assert float(table["adamw"][1].rstrip("%")) >= 95
    sizes = {name: cells[-1] for name, cells in table.items()}
    assert sizes["sgd"] == sizes["lion"] == "104.5 kB"  # one moment for 26 122 parameters in float32
    assert sizes["adam"] == sizes["adamw"] == "209.0 kB"  # two

    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 500
    colors = {tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1])}
    assert len(colors) > 100  # not blank: lines of five colors, smoothed at their edges


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tmp_path, capsys):
    def numbers(seed):
        path = str(tmp_path / "picture.png")
        main(["demo", "--optimizers", "adamw", "--epochs", "1", "--seed", str(seed), "--output", path])
        return rows(capsys.readouterr().out)["adamw"][:3]

    first = numbers(1)
    assert numbers(1) == first
    assert numbers(2) != first


def test_the_table_is_written_where_only_ascii_can_be(tmp_path):
    options = ("--optimizers", "sgd", "--epochs", 1, "--output", tmp_path / "picture.png")
    result = demo(*options, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "|sgd" in result.stdout


@pytest.mark.parametrize("names", [["lion,sgd"], ["lion", "sgd"], ["lion, sgd", "lion"], ["lion", "--optimizers", "sgd"]])
def test_optimizers_are_separated_by_commas_or_spaces(names, tmp_path, capsys):
    options = ["--epochs", "1", "--batch-size", "1000", "--output", str(tmp_path / "picture.png")]
    assert main(["demo", "--optimizers", *names, *options]) == 0
    assert list(rows(capsys.readouterr().out)) == ["lion", "sgd"]


def test_a_diverging_run_ends_with_a_table_too(tmp_path, capsys):
    options = ["--epochs", "2", "--learning-rate", "1e9", "--output", str(tmp_path / "picture.png")]
    assert main(["demo", "--optimizers", "adamw", *options]) == 0
    assert list(rows(capsys.readouterr().out)) == ["adamw"]


def test_a_name_without_suffix_is_written_as_it_is(tmp_path):
    options = ["--epochs", "1", "--batch-size", "1437"]  # a single step: the least there is to draw
    assert main(["demo", "--optimizers", "sgd", *options, "--output", str(tmp_path / "picture")]) == 0
    assert (tmp_path / "picture").read_bytes().startswith(b"\x89PNG")


def test_test_losses_are_drawn_for_every_epoch(tmp_path):
    options = ["--optimizers", "sgd", "--epochs", "3", "--batch-size", "500", "--output", str(tmp_path / "picture.svg")]
    assert main(["demo", *options]) == 0
    assert "test, after each epoch" in (tmp_path / "picture.svg").read_text()
    data = digits.load(0)
    result = training.train(gradtx.sgd(0.1), data, epochs=3, batch_size=500, seed=0, on_epoch=lambda loss: None)
    assert result.test_losses.shape == (3,)
    assert len(set(result.test_losses)) == 3


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--optimizers", "adan,adamw", ["'adan'", "sgd, rmsprop, adam, adamw, lion"]),
        ("--optimizers", ",", ["','", "sgd, rmsprop, adam, adamw, lion"]),
        ("--epochs", "-3", ["--epochs", "at least 1", "-3"]),
        ("--epochs", "0", ["--epochs", "at least 1"]),
        ("--epochs", "many", ["--epochs", "'many'"]),
        ("--batch-size", "0", ["--batch-size", "at least 1"]),
        ("--batch-size", "5000", ["--batch-size", "at most 1437", "5000"]),
        ("--learning-rate", "-0.1", ["--learning-rate", "above 0", "-0.1"]),
        ("--learning-rate", "nan", ["--learning-rate", "above 0"]),
        ("--learning-rate", "inf", ["--learning-rate", "above 0"]),
        ("--seed", "-1", ["--seed", "from 0 to 4294967295"]),
        ("--output", "no/such/directory/picture.png", ["--output", "no/such/directory", "No such file"]),
        ("--output", ".", ["--output", "is a directory"]),
        ("--output", "picture.gif", ["--output", "png, svg, pdf", "picture.png"]),
        ("--colour", "red", ["--colour"]),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(option, value, words, refused):
    refused(["demo", option, value], *words)


def test_an_unknown_command_is_refused_in_one_line(refused):
    refused(["dmeo"], "command", "demo")


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in SUBCOMMANDS)
    assert "public" not in output


def test_an_error_is_the_exit_code_of_the_process():
    assert_refused_in_one_line(demo("--optimizers", "adan"), "gradtx demo: ", "'adan'", "sgd, rmsprop, adam, adamw, lion")


def test_a_file_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").touch()
    result = demo("--output", tmp_path / "file" / "picture.png", "--epochs", 10**9)  # it would train for days
    assert_refused_in_one_line(result, "cannot write", "Not a directory")


@pytest.mark.parametrize("library", ["matplotlib", "rich", "sklearn"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(library, tmp_path):
    (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError('No module named {library}', name='{library}')")
    assert_refused_in_one_line(demo(PYTHONPATH=str(tmp_path)), library, 'pip install "gradtx[demo]"')
