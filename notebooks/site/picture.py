"""Draw the picture of the README and the landing page: `python notebooks/site/picture.py`, after `pip install ".[demo]"`.

It is what `gradtx demo` trains, drawn for pages that are light or dark.
"""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from gradtx.cli import demo, digits, training

PICTURE = Path(__file__).parents[1] / "guides" / "assets" / "digits.svg"
EPOCHS, BATCH_SIZE, LEARNING_RATE = 30, 32, 3e-3  # the defaults of the demo
COLORS = ("#3C8ED0", "#E69F00", "#009E73", "#D55E00", "#CC79A7")  # Okabe and Ito's, the blue lighter for dark pages
INK, FAINT = "#808080", "#80808040"


def main() -> None:
    """Train with each optimizer of the demo, and write the picture."""
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "gradtx"}  # text as text, the same file each time
    figure = Figure(figsize=(6.6, 3.4), layout="constrained")
    axes = figure.subplots()
    data = digits.load(0)
    steps = EPOCHS * (len(data[0].labels) // BATCH_SIZE)
    for color, name in zip(COLORS, demo.OPTIMIZERS, strict=True):
        optimizer = demo.compose(name, LEARNING_RATE, steps)
        result = training.train(optimizer, data, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=0, on_epoch=lambda loss: None)
        label = f"{name}, {result.test_accuracy:.1%}"
        axes.plot(range(1, EPOCHS + 1), result.test_losses, color=color, linewidth=2, label=label)
    axes.set(yscale="log", xlim=(1, EPOCHS))
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("test loss", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, which="both", length=0)
    axes.grid(color=FAINT, linewidth=0.6)
    legend = axes.legend(frameon=False, labelcolor="linecolor", title="test accuracy", alignment="left", loc="upper right")
    legend.get_title().set_color(INK)
    figure.savefig(PICTURE, transparent=True, metadata={"Date": None, "Creator": None})
    lines = PICTURE.read_text(encoding="utf-8").splitlines()
    PICTURE.write_text("\n".join(map(str.rstrip, lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
