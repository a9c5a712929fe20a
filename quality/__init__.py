"""What can be trusted: the audit of the books."""
