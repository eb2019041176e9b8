"""All that looks at a transformation beside its state and its parameters: hyperparameters, summary, transfer, evaluation."""
