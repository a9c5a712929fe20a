"""What the page Funnel reads and draws."""
