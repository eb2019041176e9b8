"""Keras's optimizers and schedules: its names in lower case, arguments, defaults and numbers."""

from gradtx.interop.keras.composition import Options as Options
from gradtx.interop.keras.schedules import cosine_decay as cosine_decay
from gradtx.interop.keras.schedules import cosine_decay_restarts as cosine_decay_restarts
from gradtx.interop.keras.schedules import exponential_decay as exponential_decay
from gradtx.interop.keras.schedules import inverse_time_decay as inverse_time_decay
from gradtx.interop.keras.schedules import piecewise_constant_decay as piecewise_constant_decay
from gradtx.interop.keras.schedules import polynomial_decay as polynomial_decay
from gradtx.interop.keras.sgd import sgd as sgd
