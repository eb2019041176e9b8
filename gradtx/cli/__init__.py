"""The command `gradtx`: each subcommand is a module with `add_arguments(parser)` and `run(arguments)`."""

import sys
from collections.abc import Sequence

import gradtx
from gradtx.cli import demo, memory, race, schedule
from gradtx.cli.arguments import CommandError, Parser

SUBCOMMANDS = {"demo": demo, "race": race, "memory": memory, "schedule": schedule}
DESCRIPTION = "Composable gradient transformations for JAX: compare optimizers, and look at schedules and at what memory takes."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default that of the process) and return the exit code; none prints the help."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        arguments.run(arguments)
    except CommandError as error:
        print(f"gradtx {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # what a shell reports for an interrupted command
    return 0


def _parser() -> Parser:
    parser = Parser(prog="gradtx", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"gradtx {gradtx.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, module in SUBCOMMANDS.items():
        subparser = commands.add_parser(name, help=module.__doc__, description=module.__doc__)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser
