"""Where commands write what a person reads."""

from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress and steps: on stderr, so that a command's result on stdout can be piped."""

out = Console(highlight=False, soft_wrap=True)
"""A command's result."""
