"""What the page of one user reads and draws."""
