"""Making the topic anew, as somebody does who clears up in Kafka."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from lakehouse.embedded.waiting import until
from lakehouse.settings import load_settings
from lakehouse.topic import ensure_topic

LIMIT_S = 60.0


def make_anew(bootstrap: str, topic: str) -> None:
    """Deletes the topic with all its messages, and makes it as the stack would."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for done in client.delete_topics([topic], operation_timeout=LIMIT_S).values():
        done.result(LIMIT_S)

    def gone() -> bool:
        try:
            return topic not in client.list_topics(timeout=5).topics
        except KafkaException:
            return False

    if not until(gone, LIMIT_S):
        raise TimeoutError(f"topic {topic} is still there {LIMIT_S:g} s after it was deleted")
    ensure_topic(bootstrap, load_settings(topic=topic))
