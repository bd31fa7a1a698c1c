"""Where a served model is: grpc://HOST:PORT/NAME, or http; /VERSION if not the server's own."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tfadv.inference.versions import NUMBER
from tfrecords.errors import SettingError

SCHEMES = ("grpc", "grpcs", "http", "https")


@dataclass(frozen=True)
class Address:
    """Of a model at a server of the Open Inference Protocol.

    Attributes:
        host: with its port.
        version: empty for the one that the server chooses.
    """

    scheme: str
    host: str
    name: str
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises SettingError where that is no address."""
        try:
            url = urlsplit(text)
            port, name, version = url.port, *f"{url.path}/".split("/")[1:3]
        except ValueError:  # A port that is no number, or brackets about nothing.
            raise _no_address(text) from None
        extra = f"{url.path}/".split("/")[3:]
        whole = url.scheme in SCHEMES and url.hostname and port and name and not any(extra)
        if not whole or url.query or url.fragment or url.username is not None:
            raise _no_address(text)
        if version and not NUMBER.fullmatch(version):
            raise _no_address(text)
        return cls(url.scheme, url.netloc, name, version)

    @property
    def encrypted(self) -> bool:
        return self.scheme in ("grpcs", "https")

    @property
    def near(self) -> bool:
        """Whether it is this machine, of which no wire is in between."""
        return urlsplit(f"//{self.host}").hostname in ("localhost", "127.0.0.1", "::1")

    def __str__(self) -> str:
        version = f"/{self.version}" if self.version else ""
        return f"{self.scheme}://{self.host}/{self.name}{version}"


def _no_address(text: str) -> SettingError:
    return SettingError(
        "server",
        "expected grpc://HOST:PORT/NAME, or /NAME/VERSION, or the same with grpcs, http or https, "
        f"received {text}",
    )
