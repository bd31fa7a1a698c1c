"""Serves all models in a folder by the Open Inference Protocol, with MLServer.

serving/.venv/bin/python serving/serve.py --models models

Of each model, models/NAME, the latest version is served; a newer one after the next start.
"""

import argparse
import asyncio
import socket
import sys
from pathlib import Path

from mlserver import MLServer, ModelSettings, Settings
from mlserver.errors import InferenceError
from mlserver.settings import ModelParameters
from runtime import SavedModel, failure, latest, require_whole

LARGEST_MESSAGE = 2**31 - 1  # Of gRPC, in bytes.


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    flags.add_argument("--models", type=Path, required=True, help="folder of models/NAME/VERSION")
    flags.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines as well")
    flags.add_argument("--http_port", type=int, default=8080)
    flags.add_argument("--grpc_port", type=int, default=8081)
    flags.add_argument("--metrics_port", type=int, default=8082)
    given = flags.parse_args()
    folders = _folders(given.models)
    for folder in folders:
        _require_whole(latest(folder))
    for name in ("http_port", "grpc_port", "metrics_port"):
        _require_free(given.host, name, getattr(given, name))
    server = Settings(
        host=given.host,
        http_port=given.http_port,
        grpc_port=given.grpc_port,
        metrics_port=given.metrics_port,
        grpc_max_message_length=LARGEST_MESSAGE,
        parallel_workers=0,  # TensorFlow uses all processors from one process.
        debug=False,  # Or clients would be sent tracebacks.
    )
    asyncio.run(_serve(server, [_settings(folder) for folder in folders]))
    if SavedModel.failures:
        sys.exit(f"error: {'; '.join(SavedModel.failures)}")


async def _serve(server: Settings, models: list[ModelSettings]) -> None:
    """Until a signal ends it. A server listens for those of the loop in which it was made."""
    started = MLServer(server)
    # By gRPC and HTTP alike, any client could ask to take a model away, or to load another.
    started._model_repository_handlers.load = _refuse
    started._model_repository_handlers.unload = _refuse
    await started.start(models)


async def _refuse(name: str) -> bool:
    raise InferenceError(f"{name}: this server loads its models when it starts, and keeps them")


def _folders(models: Path) -> list[Path]:
    """Those of models, which hold their versions."""
    found = {path.parents[1] for path in models.glob("*/[1-9]*/saved_model.pb")}
    if not found:
        sys.exit(
            f"error: --models: expected a folder with NAME/VERSION/saved_model.pb, as tfadv "
            f"export writes models/NAME, received {models}"
        )
    return sorted(found)


def _require_whole(version: Path) -> None:
    try:
        require_whole(version)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        sys.exit(f"error: {failure(version, error)}")


def _require_free(host: str, name: str, port: int) -> None:
    """Ends where somebody listens: by gRPC, two servers would share the port, and mix answers."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except (OSError, OverflowError) as error:
            sys.exit(f"error: --{name}: expected a free port of {host}, received {port} ({error})")


def _settings(folder: Path) -> ModelSettings:
    return ModelSettings(
        name=folder.name,
        implementation=SavedModel,
        parameters=ModelParameters(uri=str(folder.resolve())),
    )


if __name__ == "__main__":
    main()
