"""How each of the three Kafka clients is told of TLS and of the password, from the one set of settings.

Certificates are always verified, and the name in them too; nothing here switches that off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.settings import KafkaProtocol, SaslMechanism, Settings

_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


@dataclass(frozen=True)
class KafkaSecurity:
    """What a client of the broker needs beside its address. By default nothing: plain text, for loopback."""

    protocol: KafkaProtocol = "PLAINTEXT"
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    """PEM; None: the authorities that the machine, for Spark its Java, trusts."""

    @classmethod
    def of(cls, settings: Settings) -> KafkaSecurity:
        secret = settings.kafka_password
        return cls(
            protocol=settings.kafka_security_protocol,
            mechanism=settings.kafka_sasl_mechanism,
            username=settings.kafka_username or "",
            password="" if secret is None else secret.get_secret_value(),
            ca_file=settings.kafka_ca_file,
        )

    @property
    def has_password(self) -> bool:
        return self.protocol.startswith("SASL")

    @property
    def has_tls(self) -> bool:
        return self.protocol.endswith("SSL")

    def librdkafka(self) -> dict[str, Any]:
        """For confluent-kafka."""
        if self.protocol == "PLAINTEXT":
            return {}
        told: dict[str, Any] = {"security.protocol": self.protocol}
        if self.has_password:
            told |= {
                "sasl.mechanisms": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        if self.has_tls:
            told["ssl.endpoint.identification.algorithm"] = "https"
            if self.ca_file is not None:
                told["ssl.ca.location"] = str(self.ca_file)
        return told

    def kafka_python(self) -> dict[str, Any]:
        """For kafka-python, as keyword arguments."""
        if self.protocol == "PLAINTEXT":
            return {}
        told: dict[str, Any] = {"security_protocol": self.protocol}
        if self.has_password:
            told |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        if self.has_tls:
            told["ssl_check_hostname"] = True
            if self.ca_file is not None:
                told["ssl_cafile"] = str(self.ca_file)
        return told

    def spark(self) -> dict[str, str]:
        """For Spark's Kafka source, as options. The certificates go along as text, so that the executors of a cluster
        need no such file."""
        if self.protocol == "PLAINTEXT":
            return {}
        told = {"security.protocol": str(self.protocol)}
        if self.has_password:
            login = f"{_LOGIN_MODULES[self.mechanism]} required"
            told["sasl.mechanism"] = self.mechanism
            told["sasl.jaas.config"] = f"{login} username={_quoted(self.username)} password={_quoted(self.password)};"
        if self.has_tls:
            told["ssl.endpoint.identification.algorithm"] = "https"
            if self.ca_file is not None:
                told["ssl.truststore.type"] = "PEM"
                told["ssl.truststore.certificates"] = self.ca_file.read_text()
        return {f"kafka.{name}": value for name, value in told.items()}


PLAIN_TEXT = KafkaSecurity()
"""A broker of this machine, as the stack runs it under the home."""


def _quoted(value: str) -> str:
    """``value`` in a line of JAAS, where a quotation mark would otherwise end it and begin another option."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
