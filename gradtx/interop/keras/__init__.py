"""Keras's optimizers and schedules: its names in lower case, arguments, defaults and numbers."""

from gradtx.interop.keras.adadelta import adadelta as adadelta
from gradtx.interop.keras.adafactor import adafactor as adafactor
from gradtx.interop.keras.adagrad import adagrad as adagrad
from gradtx.interop.keras.adam import adam as adam
from gradtx.interop.keras.adam import adamw as adamw
from gradtx.interop.keras.adamax import adamax as adamax
from gradtx.interop.keras.composition import Options as Options
from gradtx.interop.keras.ftrl import ftrl as ftrl
from gradtx.interop.keras.lamb import lamb as lamb
from gradtx.interop.keras.lion import lion as lion
from gradtx.interop.keras.muon import muon as muon
from gradtx.interop.keras.nadam import nadam as nadam
from gradtx.interop.keras.rmsprop import rmsprop as rmsprop
from gradtx.interop.keras.schedule_free_adamw import schedule_free_adamw as schedule_free_adamw
from gradtx.interop.keras.schedules import cosine_decay as cosine_decay
from gradtx.interop.keras.schedules import cosine_decay_restarts as cosine_decay_restarts
from gradtx.interop.keras.schedules import exponential_decay as exponential_decay
from gradtx.interop.keras.schedules import inverse_time_decay as inverse_time_decay
from gradtx.interop.keras.schedules import piecewise_constant_decay as piecewise_constant_decay
from gradtx.interop.keras.schedules import polynomial_decay as polynomial_decay
from gradtx.interop.keras.sgd import sgd as sgd
