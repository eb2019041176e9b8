"""Places in a config, such as "chain[1].adamw.learning_rate"."""


def below(path: str, name: object) -> str:
    """Return the place of what a dict at a place has under a name."""
    return f"{path}.{name}" if path else str(name)
