"""What a transformation is made of: its parts beside their states, and its hyperparameters by name."""
