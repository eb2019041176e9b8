"""Write low_bit_optimizers.npz: what bitsandbytes 0.50.2 and torchao 0.18.0 make of parameters and of numbers, by the case.

    python tests/golden/low_bit_optimizers.py

The kernel of bitsandbytes for CPUs looks codes up on a grid, by which up to 58 % of them are not the nearest; its CUDA kernel
rounds to the nearest, as is done here instead. torchao's step runs without `torch.compile`.
"""
# /// script
# dependencies = ["bitsandbytes==0.50.2", "numpy", "torch==2.13.0", "torchao==0.18.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from low_bit_optimizers_cases import CASES, KEPT, OPTIONS, flat, gradients, numbers, shapes_of, start

torch: Any = importlib.import_module("torch")
bitsandbytes: Any = importlib.import_module("bitsandbytes")
cpu: Any = importlib.import_module("bitsandbytes.backends.cpu.ops")
adam: Any = importlib.import_module("torchao.optim.adam")
quant_utils: Any = importlib.import_module("torchao.optim.quant_utils")


def nearest(x: Any, book: Any, absmax_out: Any, codes_out: Any, block_size: int) -> None:
    """What `_quant_blockwise_fp32_direct` does, with the nearest code."""
    flat_x = x.reshape(-1)
    for k, block in enumerate(flat_x.split(block_size)):
        absmax = block.abs().max()
        absmax_out.view(-1)[k] = absmax
        scaled = block * (1 / absmax) if absmax > 0 else block
        codes = torch.bucketize(scaled, (book[:-1] + book[1:]) / 2)
        codes_out.view(-1)[k * block_size : k * block_size + len(block)] = codes.to(torch.uint8)


def run_bitsandbytes(label: str) -> tuple[Any, dict[str, Any]]:
    params = {name: torch.nn.Parameter(torch.tensor(start()[name])) for name in shapes_of(label)}
    optimizer = bitsandbytes.optim.AdamW8bit(list(params.values()), **OPTIONS)
    rows = []
    for count, grads in enumerate(gradients(), 1):
        for name, p in params.items():
            p.grad = torch.tensor(grads[name])
        optimizer.step()
        if count in KEPT:
            rows.append(flat({name: p.detach().numpy() for name, p in params.items()}, label))
    states = [optimizer.state[p] for p in params.values() if "absmax1" in optimizer.state[p]]
    codes = {f"{label} codes{k}": np.concatenate([state[f"state{k}"].numpy().ravel() for state in states]) for k in (1, 2)}
    return np.stack(rows), codes


def run_torchao(label: str) -> Any:
    optimizer_class = getattr(adam, label.split()[1])
    params = {name: torch.nn.Parameter(torch.tensor(start()[name])) for name in shapes_of(label)}
    made = optimizer_class(list(params.values()), lr=OPTIONS["lr"])
    buffers = {name: (made._new_buffer(p, True), made._new_buffer(p, False)) for name, p in params.items()}
    b1, b2 = OPTIONS["betas"]
    rows = []
    for count, grads in enumerate(gradients(), 1):
        for name, p in params.items():
            adam.single_param_adam(
                p.detach(), torch.tensor(grads[name]), torch.tensor(float(count)), *buffers[name], None,
                torch.tensor(OPTIONS["lr"]), b1, b2, OPTIONS["weight_decay"], OPTIONS["eps"], True, False,
            )  # fmt: skip
        if count in KEPT:
            rows.append(flat({name: p.detach().numpy() for name, p in params.items()}, label))
    return np.stack(rows)


def main() -> None:
    cpu._quant_blockwise_fp32_direct = nearest
    arrays: dict[str, Any] = {}
    for label in CASES:
        if label.startswith("bitsandbytes"):
            arrays[label], codes = run_bitsandbytes(label)
            arrays |= codes
        else:
            arrays[label] = run_torchao(label)
    for signed in (True, False):
        book = bitsandbytes.functional.create_dynamic_map(signed=signed)
        for bits, its_book in ((8, book), (4, torch.tensor(quant_utils.create_dynamic_map(signed, 3, 4)))):
            if bits == 4 and not signed:
                its_book = torch.linspace(0, 1, 17)[1:]
            x = torch.tensor(numbers(signed))
            arrays[f"{bits} bits, signed={signed}"] = (
                torch.bucketize(x, (its_book[:-1] + its_book[1:]) / 2).to(torch.uint8).numpy()
            )
            arrays[f"book of {bits} bits, signed={signed}"] = its_book.numpy()
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
