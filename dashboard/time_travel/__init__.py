"""What the page Time travel reads and draws."""
