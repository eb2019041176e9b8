"""What transformers trains with: its schedules, the AdamW of its Trainer, Adafactor; their names, arguments, defaults, numbers.

A schedule takes `lr`, a number, instead of the optimizer, and is given to an optimizer as its learning rate.
"""

from gradtx.interop.transformers.adafactor import adafactor as adafactor
from gradtx.interop.transformers.cosine import get_cosine_schedule_with_warmup as get_cosine_schedule_with_warmup
from gradtx.interop.transformers.cosine import (
    get_cosine_with_hard_restarts_schedule_with_warmup as get_cosine_with_hard_restarts_schedule_with_warmup,
)
from gradtx.interop.transformers.cosine import (
    get_cosine_with_min_lr_schedule_with_warmup as get_cosine_with_min_lr_schedule_with_warmup,
)
from gradtx.interop.transformers.cosine import (
    get_cosine_with_min_lr_schedule_with_warmup_lr_rate as get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
)
from gradtx.interop.transformers.decay_mask import decay_mask as decay_mask
from gradtx.interop.transformers.greedy import GreedyLRState as GreedyLRState
from gradtx.interop.transformers.greedy import greedy_lr as greedy_lr
from gradtx.interop.transformers.scheduler import get_scheduler as get_scheduler
from gradtx.interop.transformers.schedules import get_constant_schedule as get_constant_schedule
from gradtx.interop.transformers.schedules import get_constant_schedule_with_warmup as get_constant_schedule_with_warmup
from gradtx.interop.transformers.schedules import get_inverse_sqrt_schedule as get_inverse_sqrt_schedule
from gradtx.interop.transformers.schedules import get_linear_schedule_with_warmup as get_linear_schedule_with_warmup
from gradtx.interop.transformers.schedules import (
    get_polynomial_decay_schedule_with_warmup as get_polynomial_decay_schedule_with_warmup,
)
from gradtx.interop.transformers.trainer import trainer_adamw as trainer_adamw
from gradtx.interop.transformers.wsd import get_wsd_schedule as get_wsd_schedule
