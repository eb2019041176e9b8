"""Compositions as plain data, for JSON, YAML and TOML: `to_config` writes them, `from_config` reads them.

- `writing`, `reading`: the two functions;
- `names`: which functions a config may name;
- `words`: how it says what JSON has no word for: tuples, infinity, arrays, dtypes.
"""

from gradtx.configuration.reading import from_config as from_config
from gradtx.configuration.writing import to_config as to_config
