"""The one `main` of every command: its arguments, and how it ends.

A command is a file at the top of the package with three things: a docstring, which is its help; `add_arguments(parser)`; and
`run(arguments)`, which imports what it needs, so that --help imports neither torch nor pandas.

    main = command("status", __doc__, add_arguments, run)
"""

import argparse
import errno
import os
import sys
from contextlib import contextmanager

from fer_lightning.process.errors import UserError
from fer_lightning.process.home import ensure_home
from fer_lightning.process.visible import visible

FAILED = 1
INTERRUPTED = 130
CLOSED_PIPE = 141  # what a shell reports of a program that SIGPIPE ended


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(FAILED, f"{message.rstrip('.')}. See {self.prog} --help\n")


def command(name, doc, add_arguments, run):
    """The main function of a command.

    doc:           the module's docstring: its first line is the description, the rest the end of --help
    add_arguments: (parser) -> None
    run:           (arguments) -> exit code or None
    """
    head, _, rest = doc.strip().partition("\n")

    def main(arguments=None):
        parser = _Parser(
            prog=f"python -m fer_lightning.{name}",
            description=head,
            epilog=rest.strip("\n"),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_arguments(parser)
        # Options may stand between the positional arguments, as in `plan head.act=relu,gelu -m seed=0,1`.
        code = exit_code(lambda: run(parser.parse_intermixed_args(arguments)))
        if code:
            sys.exit(code)

    return main


def exit_code(work):
    """Do the work of a command. Returns its exit code: an error that the user can mend is one sentence on stderr and 1."""
    try:
        with silent_pipe(), naming_missing_packages(), finding_interrupts():
            ensure_home()
            return work()
    except UserError as error:
        print(error, file=sys.stderr)
    except UnicodeEncodeError as error:
        odd = error.object[error.start : error.end]
        if "\udc80" <= odd[0] <= "\udcff":  # how Python shows a byte of a file's name that is no UTF-8
            print(f"The name of a file or folder has {odd!a} in it, which is not UTF-8: rename it.", file=sys.stderr)
        else:
            print(f"The output cannot hold {odd[:1]!a} in {error.encoding}: set PYTHONIOENCODING=utf-8.", file=sys.stderr)
    except OSError as error:
        # Of a file that the user named, or of a disk. Without a file name the fault is in this program.
        if error.filename is None:
            raise
        print(visible(f"{error.filename}: {error.strerror}."), file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    return FAILED


@contextmanager
def finding_interrupts():
    """Ctrl-C while compiled code is imported becomes an ImportError, which a reader may take for a damaged file: it is Ctrl-C."""
    try:
        yield
    except Exception as error:
        cause = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None


@contextmanager
def naming_missing_packages():
    """Outside of the environment that this program is installed in, say which one Python is in."""
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(
            f"There is no package {error.name} in this Python ({sys.executable}). "
            "In a checkout run `. .venv/bin/activate` first (`make setup` builds it); elsewhere `pip install` this program again."
        )


@contextmanager
def silent_pipe():
    """If stdout is closed, or a pipe that nobody reads any more, as behind `| head -1`, exit without a message."""
    _open_closed_streams()
    try:
        try:
            yield
        except SystemExit:  # of --help, for example
            sys.stdout.flush()
            raise
        sys.stdout.flush()  # finds a closed pipe here, and not when the interpreter ends
    except BrokenPipeError:
        _to_nowhere()
        sys.exit(CLOSED_PIPE)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        _to_nowhere()
        sys.exit(f"The output cannot be written: {error.strerror}.")


def _open_closed_streams():
    """Python has no stream where the shell has closed one (`>&-`), and the next file that is opened would get its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, mode))


def _to_nowhere():
    """What is left to write, also when the interpreter ends, goes to no file."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
