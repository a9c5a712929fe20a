"""What keeps files, logs and history bounded: compaction, daily snapshots of gold, VACUUM and log clean-up.

Between two rounds the runner lets `Upkeep` do one small step, with its turn held; `lakehouse maintain` does all of it
at once. Whatever is done here moves no row: readers of a table pass over it.
"""
