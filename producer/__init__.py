"""Sources of events: a simulator, and the replay of files."""
