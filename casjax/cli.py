"""The command `casjax` and its exit statuses.

Each subcommand is a module that ``python -m`` runs as well.
"""

import argparse
import enum
import runpy
import sys
from typing import NamedTuple

import casjax


class ExitStatus(enum.IntEnum):
    """The exit status of a command, for shells, schedulers and scripts."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2  # or a wrong config, or wrong data; as in argparse
    INTERRUPTED = 130  # by Ctrl-C, as in shells, or SIGHUP
    READER_GONE = 141  # nobody reads the output any more (SIGPIPE); as in shells
    # EX_TEMPFAIL of sysexits.h: stopped with its state saved, or because another process was lost
    QUEUE_AGAIN = 75


class Command(NamedTuple):
    """A subcommand: the module it runs, and its purpose for ``--help``."""

    module: str
    purpose: str


COMMANDS = {
    "train": Command("casjax.main", "train a network according to a config, and score it"),
    "evaluate": Command("casjax.evaluate", "score any method on test sets"),
    "restore": Command("casjax.restore", "restore photographs"),
    "report": Command("casjax.report", "make tables, figures and a page from results"),
    "export": Command("casjax.export", "export a network as StableHLO and ONNX"),
    "benchmark": Command("casjax.benchmark", "measure speed and memory on this machine"),
}


def main() -> None:
    """Run the subcommand named on the command line, with the arguments after its name."""
    name = make_parser().parse_args(sys.argv[1:2]).command
    sys.argv = [f"casjax {name}", *sys.argv[2:]]
    runpy.run_module(COMMANDS[name].module, run_name="__main__", alter_sys=True)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of everything before the arguments of a subcommand."""
    purposes = "\n".join(f"  {name:<12}{command.purpose}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="casjax",
        usage="casjax COMMAND ...",
        description=f"Remove JPEG compression artifacts. Commands:\n{purposes}",
        epilog="`casjax COMMAND --help` describes each command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of these")
    parser.add_argument("--version", action="version", version=f"casjax {casjax.__version__}")
    return parser


if __name__ == "__main__":
    main()
