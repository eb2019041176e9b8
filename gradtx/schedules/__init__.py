"""Schedules: functions of the step, for a learning rate or any other number that changes while training.

Each is called with a count, 0 at the first step, and returns a float array in the shape of the count.
"""

from gradtx.schedules.ademamix import ademamix_decay_schedule as ademamix_decay_schedule
from gradtx.schedules.ademamix import ademamix_weight_schedule as ademamix_weight_schedule
from gradtx.schedules.decay import constant_schedule as constant_schedule
from gradtx.schedules.decay import cosine_decay_schedule as cosine_decay_schedule
from gradtx.schedules.decay import exponential_decay as exponential_decay
from gradtx.schedules.decay import linear_schedule as linear_schedule
from gradtx.schedules.decay import polynomial_schedule as polynomial_schedule
from gradtx.schedules.decay import power_cooldown_schedule as power_cooldown_schedule
from gradtx.schedules.piecewise import join_schedules as join_schedules
from gradtx.schedules.piecewise import multi_step_decay_schedule as multi_step_decay_schedule
from gradtx.schedules.piecewise import piecewise_constant_schedule as piecewise_constant_schedule
from gradtx.schedules.piecewise import piecewise_interpolate_schedule as piecewise_interpolate_schedule
from gradtx.schedules.piecewise import step_decay_schedule as step_decay_schedule
from gradtx.schedules.scaled import corrected_weight_decay_schedule as corrected_weight_decay_schedule
from gradtx.schedules.scaled import scaled_schedule as scaled_schedule
from gradtx.schedules.warmup import cosine_onecycle_schedule as cosine_onecycle_schedule
from gradtx.schedules.warmup import linear_onecycle_schedule as linear_onecycle_schedule
from gradtx.schedules.warmup import sgdr_schedule as sgdr_schedule
from gradtx.schedules.warmup import warmup_constant_schedule as warmup_constant_schedule
from gradtx.schedules.warmup import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
from gradtx.schedules.warmup import warmup_exponential_decay_schedule as warmup_exponential_decay_schedule
from gradtx.schedules.warmup import warmup_stable_decay_schedule as warmup_stable_decay_schedule
