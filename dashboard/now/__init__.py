"""What the page Now reads and draws."""
