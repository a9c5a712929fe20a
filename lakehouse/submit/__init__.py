"""The writer as an application that `spark-submit` runs, beside servers of one's own."""
