"""What the page Pipeline reads and draws."""
