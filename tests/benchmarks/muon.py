"""Compare gradtx's Muon with Optax's: `python tests/benchmarks/muon.py`.

The tree is that of a GPT-2 of 12 layers, D wide. Matrices are orthogonalized, embeddings go to Adam. The contenders take turns
in one process, because machines are noisy; what counts is the ratio of medians.
"""

import argparse
from types import ModuleType
from typing import Any

import compare
import jax
from rich.console import Console

WIDTH, LAYERS = 256, 12
EMBEDDINGS = ("leaf_0", "leaf_1")


def gpt2(width: int) -> compare.Case:
    """The leaves of a GPT-2."""
    block = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width), *[(width,)] * 4]
    shapes = [(5000, width), (1024, width), *block * LAYERS]
    return compare.Case(f"GPT-2 of {LAYERS} layers, {width} wide: Muon", shapes, builds=3, steps=12, eager_steps=2)


def muon(library: ModuleType) -> Any:
    """Muon for matrices, Adam for the others and for embeddings."""
    contrib = getattr(library, "contrib", library)

    def of_leaf(path: Any, p: Any) -> Any:
        is_embedding = path[0].key in EMBEDDINGS
        return contrib.MuonDimensionNumbers() if p.ndim == 2 and not is_embedding else None

    def dimension_numbers(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(of_leaf, params)

    return contrib.muon(1e-3, muon_weight_dimension_numbers=dimension_numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=WIDTH)
    case = gpt2(parser.parse_args().width)
    Console().print(compare.table(case.title, compare.compete(case, muon)))


if __name__ == "__main__":
    main()
