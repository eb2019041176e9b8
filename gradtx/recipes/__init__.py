"""Recipes: the optimizer of a published training run, by what is trained.

    tx = gradtx.recipes.transformer(3e-4, total_steps=100_000)
    print(tx)       # chain(clip_by_global_norm(1.0), adamw(warmup_cosine_decay_schedule(...), ...))

A recipe is a plain function: what it returns is the composition itself, which prints, compares and pickles as if it was
written by hand, so take it over and change it. All numbers are those of the source that its docstring names, and arguments.
A published learning rate goes with a batch size; with another one, tune it first (`find_learning_rate`).
"""

from gradtx.recipes.decay import all_but_norms_and_biases as all_but_norms_and_biases
from gradtx.recipes.fine_tuning import fine_tuning as fine_tuning
from gradtx.recipes.fine_tuning import lora as lora
from gradtx.recipes.generative import Adversaries as Adversaries
from gradtx.recipes.generative import diffusion as diffusion
from gradtx.recipes.generative import gan as gan
from gradtx.recipes.language import bert as bert
from gradtx.recipes.language import transformer as transformer
from gradtx.recipes.reinforcement_learning import reinforcement_learning as reinforcement_learning
from gradtx.recipes.small_data import small_data as small_data
from gradtx.recipes.vision import cnn as cnn
from gradtx.recipes.vision import vit as vit
