"""The same windows by other engines: programs that run in environments of their own and import nothing of ours.

Each counts events by user, type and ten minutes from the topic's beginning to its present end, with a watermark of an
hour where it has one, into one table of Postgres. KAFKA, TOPIC, POSTGRES_DSN and WORKERS are in the environment.
"""
