"""Models that make images: adversarial networks and diffusion."""

from typing import NamedTuple

from gradtx import require
from gradtx.core import GradientTransformation, Scalar, chain, keeps_contract
from gradtx.errors import names_errors
from gradtx.optimizers.adam import adam
from gradtx.schedules import warmup_constant_schedule
from gradtx.transforms.clipping import clip_by_global_norm
from gradtx.wrappers.weight_averaging import exponentially_averaged


class Adversaries(NamedTuple):
    """The optimizers of two networks that train against each other."""

    generator: GradientTransformation
    discriminator: GradientTransformation


@names_errors
@keeps_contract(discriminator_learning_rate=require.NONNEGATIVE)
def gan(
    learning_rate: Scalar = 2e-4,
    *,
    discriminator_learning_rate: Scalar | None = None,
    b1: float = 0.5,
    b2: float = 0.999,
) -> Adversaries:
    """Generative adversarial network: Adam with little momentum, once for the generator and once for the discriminator.

        generator, discriminator = gradtx.recipes.gan()

    As published for DCGAN, for batches of 128: 2e-4 and b1 = 0.5 for both, since training oscillated at 0.9.

    Args:
      learning_rate: of the generator.
      discriminator_learning_rate: of the discriminator; None for the same. Heusel et al. let it learn faster.
      b1, b2: as in `adam`.

    Raises:
      ValueError: a number is out of its range.

    References:
      Radford, Metz and Chintala, Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks,
        2015, https://arxiv.org/abs/1511.06434
      Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, 2017,
        https://arxiv.org/abs/1706.08500
    """
    other = learning_rate if discriminator_learning_rate is None else discriminator_learning_rate
    return Adversaries(adam(learning_rate, b1=b1, b2=b2), adam(other, b1=b1, b2=b2))


@names_errors
@keeps_contract(warmup_steps=require.NONNEGATIVE)
def diffusion(
    learning_rate: Scalar = 2e-4,
    *,
    warmup_steps: int = 5000,
    max_norm: float = 1.0,
    average_decay: float = 0.9999,
) -> GradientTransformation:
    """Diffusion model: Adam with a warm-up to a constant rate, and an average of the parameters, which samples are made with.

        images = sample(gradtx.eval_params(state, params))

    As published for DDPM, for batches of 128: 2e-4 (2e-5 for images of 256 × 256), Adam's defaults, an average of decay 0.9999.
    From the authors' code (https://github.com/hojonathanho/diffusion) are the warm-up over 5000 steps and the norm of 1 at
    which gradients are clipped. The average begins at the first parameters; in a run that is not many times 10 000 steps long
    it still remembers them, so choose a smaller decay.

    Args:
      learning_rate: the rate after the warm-up.
      warmup_steps: how many steps the rate rises, from 0.
      max_norm: as in `clip_by_global_norm`.
      average_decay: the decay of the average, see `exponentially_averaged`.

    Raises:
      ValueError: a number is out of its range.

    References:
      Ho, Jain and Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239
    """
    schedule = warmup_constant_schedule(init_value=0.0, peak_value=learning_rate, warmup_steps=warmup_steps)
    optimizer = chain(clip_by_global_norm(max_norm), adam(schedule))
    return exponentially_averaged(optimizer, decay=average_decay, warmup=False)
