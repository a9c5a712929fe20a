"""What the page Quality reads and draws."""
