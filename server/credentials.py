"""What a program of ours shows at the broker's door: its certificate, and a client id that is its own.

The files are read again for each connection, so that a renewed certificate is used without a restart.
"""

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from server.config import ServerConfig
from server.errors import KeysError


@dataclass(frozen=True, slots=True)
class Credentials:
    """One program's identity as a client of the broker.

    Attributes:
        program: its name, also that in the certificate.
        certificate_file: PEM, its own certificate and the one that signed it.
        key_file: PEM.
        ca_file: PEM of the city's root; whose broker it did not sign is not ours.
    """

    program: str
    certificate_file: Path
    key_file: Path
    ca_file: Path

    @classmethod
    def of(cls, config: ServerConfig, program: str) -> Self | None:
        """Return a program's identity, None where the broker is reached without TLS."""
        if not config.mqtt_url().startswith("mqtts:"):
            return None
        folder = config.keys_dir
        return cls(program, folder / f"service-{program}.pem", folder / f"service-{program}.key", folder / "ca.pem")

    def context(self) -> ssl.SSLContext:
        """Return TLS that shows this certificate and trusts the city's authority alone.

        Raises:
            KeysError: a file is missing, or is not what its name says.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise KeysError(f"{self.certificate_file.name} or {self.ca_file.name}: run `mimamori init`") from error
        return context


def host_and_port(mqtt_url: str) -> tuple[str, int]:
    """Return where a broker listens; without a port, where MQTT is by custom."""
    parts = urlsplit(mqtt_url)
    return parts.hostname or "127.0.0.1", parts.port or (8883 if parts.scheme == "mqtts" else 1883)


def client_id(program: str) -> str:
    """Return a fresh MQTT client id of `program`: its name, a colon, and what tells this connection from others."""
    return f"{program}:{secrets.token_hex(8)}"
