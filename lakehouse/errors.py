"""The one error that a person is meant to read."""


class LakehouseError(Exception):
    """Something a user or operator can mend: the message names the input, the reason and the remedy.

    The command line prints it as one line on stderr and exits with ``exit_code``; no traceback is shown.
    """

    exit_code = 1
