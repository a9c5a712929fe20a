"""The schema of Postgres, step by step; run by serving.migrate, never by hand."""
