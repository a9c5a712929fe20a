"""Where commands write what a person reads."""

from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)
"""What a command does before it has a result: on stderr, so that the result on stdout can be piped."""

out = Console(highlight=False, soft_wrap=True)
"""A command's result; of `up`, how the stack does."""
