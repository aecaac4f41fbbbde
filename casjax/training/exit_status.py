"""What the commands end with, told to shells, schedulers and scripts."""

import enum


class ExitStatus(enum.IntEnum):
    """The exit status of a command."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2  # or wrong config, or wrong data; as argparse has it
    INTERRUPTED = 130  # by Ctrl-C; as shells have it
    # EX_TEMPFAIL of sysexits.h: stopped with its state saved, or by the loss of another process
    QUEUE_AGAIN = 75
