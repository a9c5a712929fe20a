"""Postgres mirrors of the tables and the REST API."""
