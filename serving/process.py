"""A server as a process of its own, for trials and tests."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tfadv.inference.address import Address

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
END_S = 10


@dataclass
class Served:
    """A server process and its ports."""

    models: Path
    log: Path
    ports: tuple[int, ...] = field(default_factory=lambda: free_ports(3))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        names = ("--http_port", "--grpc_port", "--metrics_port")
        ports = [str(word) for pair in zip(names, self.ports, strict=True) for word in pair]
        command = [str(PYTHON), str(HERE / "serve.py"), "--models", str(self.models), *ports]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Asks it to end; MLServer does not while it loads a model."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def address(self, scheme: str, name: str) -> Address:
        port = self.ports[0 if scheme == "http" else 1]
        return Address(scheme, f"localhost:{port}", name)

    @property
    def resident_bytes(self) -> int:
        """Of its one process. Raises ChildProcessError where that has ended by itself."""
        assert self.process is not None
        if (status := self.process.poll()) is not None:
            raise ChildProcessError(f"the server has ended with status {status}")
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def free_ports(count: int) -> tuple[int, ...]:
    with_ports = [socket.socket() for _ in range(count)]
    for one in with_ports:
        one.bind(("localhost", 0))
    ports = tuple(one.getsockname()[1] for one in with_ports)
    for one in with_ports:
        one.close()
    return ports


@contextmanager
def serving(models: Path, log: Path) -> Iterator[Served]:
    """A server of these models, which ends with it. Clients wait until it answers."""
    served = Served(models, log)
    served.start()
    try:
        yield served
    finally:
        served.stop()
