"""`python -m gradtx.cli` is the command `gradtx`."""

import sys

from gradtx.cli import main

sys.exit(main())
