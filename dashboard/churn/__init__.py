"""What the page Churn reads and draws."""
