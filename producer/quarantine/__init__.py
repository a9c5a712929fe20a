"""Refused messages: looked at, corrected, and sent again, each once."""
