"""Java, Kafka and PostgreSQL run under the home, and the supervisor that watches over them."""
