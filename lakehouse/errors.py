"""The one error that a person is meant to read."""


class LakehouseError(Exception):
    """Something a user or operator can mend: the message names the input, the reason and the remedy.

    The command line prints it as one line on stderr and exits with ``exit_code``; no traceback is shown.
    """

    exit_code = 1


class EngineLost(Exception):
    """Spark's JVM has gone, or the writer is stopping: what was asked is to be asked of the next one."""


class Unavailable(LakehouseError):
    """A server or a resource is not there now; whoever needs it waits, without a limit, and goes on by itself."""
