"""Questions before a run: which learning rate."""
