"""Optimizers, one paper a file: its state, its rule, `scale_by_x`, `x` and `xw`."""
