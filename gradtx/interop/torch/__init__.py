"""PyTorch's optimizers and schedulers: its names, arguments, defaults and numbers."""

from gradtx.interop.torch.adadelta import adadelta as adadelta
from gradtx.interop.torch.adafactor import adafactor as adafactor
from gradtx.interop.torch.adagrad import adagrad as adagrad
from gradtx.interop.torch.adam import adam as adam
from gradtx.interop.torch.adam import adamw as adamw
from gradtx.interop.torch.adamax import adamax as adamax
from gradtx.interop.torch.asgd import asgd as asgd
from gradtx.interop.torch.checkpoints import from_torch as from_torch
from gradtx.interop.torch.checkpoints import to_torch as to_torch
from gradtx.interop.torch.muon import muon as muon
from gradtx.interop.torch.nadam import nadam as nadam
from gradtx.interop.torch.param_groups import optimizer_from_torch as optimizer_from_torch
from gradtx.interop.torch.radam import radam as radam
from gradtx.interop.torch.rmsprop import rmsprop as rmsprop
from gradtx.interop.torch.rprop import rprop as rprop
from gradtx.interop.torch.sgd import sgd as sgd
