"""Run a program that was written for Optax on gradtx, as it is.

python -m gradtx.interop.optax program.py [arguments ...]
python -m gradtx.interop.optax -m package.module [arguments ...]
"""

import os
import runpy
import sys

from gradtx.interop.optax.finder import install


def main() -> None:
    """Make `import optax` import gradtx, then run the program that the command line names as Python itself would."""
    arguments = sys.argv[1:]
    as_module = arguments[:1] == ["-m"]
    program, *rest = arguments[as_module:] or [None]
    if program is None or program in ("-h", "--help"):
        raise SystemExit(__doc__)
    install()
    sys.argv = [program, *rest]
    if as_module:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(program))  # `python program.py` looks beside the program, too
        runpy.run_path(program, run_name="__main__")


main()
