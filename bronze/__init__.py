"""Raw layer: everything received from Kafka, verbatim."""
