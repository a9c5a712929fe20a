"""Programs that take one topic's backlog, each in a process of its own; see benchmarks.contenders.contender."""
