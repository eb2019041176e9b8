"""Write transformers_trainer.npz: what the Trainer of transformers 5.23.0 does with its AdamW.

    python tests/golden/transformers_trainer.py

- "names of <model>" and "decay of <model>": the parameters of a small model, and whether each of them decays;
- "AdamW(...)": the parameters on the shared problem, in float64, with the Trainer's optimizer, schedule and clipping.
"""
# /// script
# dependencies = ["accelerate==1.15.0", "numpy", "torch==2.13.0", "transformers==5.23.0"]
# ///

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import problem
import torch_descent
from transformers_trainer_cases import ADAMW, Case, schedule_of

torch: Any = importlib.import_module("torch")
transformers: Any = importlib.import_module("transformers")

SMALL = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 11}
MODELS = {
    "BertModel": ("BertConfig", SMALL),
    "GPT2LMHeadModel": ("GPT2Config", {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 11, "n_positions": 16}),
    "LlamaForCausalLM": ("LlamaConfig", SMALL),
    "T5ForConditionalGeneration": (
        "T5Config",
        {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 11},
    ),
    "Dinov2Model": ("Dinov2Config", {**SMALL, "image_size": 16, "patch_size": 8}),
    "Qwen3ForCausalLM": ("Qwen3Config", {**SMALL, "head_dim": 4, "num_key_value_heads": 2}),
}


def trainer_of(model: Any, **arguments: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        options = transformers.TrainingArguments(output_dir=folder, use_cpu=True, report_to=[], **arguments)
        return transformers.Trainer(model=model, args=options)


def decay_of(name: str) -> dict[str, Any]:
    config, options = MODELS[name]
    model = getattr(transformers, name)(getattr(transformers, config)(**options))
    names = [parameter for parameter, _ in model.named_parameters()]
    decaying = trainer_of(model).get_decay_parameter_names(model)
    return {f"names of {name}": np.array(names), f"decay of {name}": np.isin(names, decaying)}


def model_of_the_problem() -> Any:
    model = torch.nn.Module()
    for name, p in problem.start().items():
        model.register_parameter(name, torch.nn.Parameter(torch.tensor(p)))
    return model


def recorded(case: Case) -> np.ndarray:
    """The parameters after each kept step, a row a step."""
    model = model_of_the_problem()
    trainer = trainer_of(model, **case.options, **schedule_of(case))
    trainer.create_optimizer_and_scheduler(problem.STEPS)

    def step() -> None:
        if trainer.args.max_grad_norm > 0:
            trainer._clip_grad_norm(model)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()

    return torch_descent.path(dict(model.named_parameters()), step, case.scale)


def main() -> None:
    assert transformers.__version__ == "5.23.0", transformers.__version__
    arrays: dict[str, Any] = {str(case): recorded(case) for case in ADAMW}
    for name in MODELS:
        arrays |= decay_of(name)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
