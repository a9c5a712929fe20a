"""Aggregates per user and window, exact for events of any lateness."""
