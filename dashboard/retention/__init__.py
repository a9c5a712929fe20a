"""What the page Retention reads and draws."""
