"""Clean layer: typed, valid, unique events; and the rows that are not."""
