"""Running servers: wrong requests, images and addresses; kills and damage between two starts."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from serving.process import free_ports
from tests.campaign import same
from tests.campaign.inputs import HOSTILE, damaged_one, predicted, written
from tests.campaign.inside import Inside
from tests.campaign.many import digest_of
from tests.campaign.material import ENDINGS, Material, copied
from tests.campaign.mutations import Random, damage
from tests.campaign.outcome import GOOD, Outcome, Result, Trial, count
from tests.campaign.requested import SAME, asked
from tests.campaign.running import NAME, Running, started_wrongly
from tfadv.inference import server
from tfadv.inference.address import Address
from tfadv.inference.folder import predict_all
from tfadv.inference.server import remote

KIND = "running servers"
PATIENCE_S = 1.0  # With what never answers; the program itself waits for minutes.
BEFORE_KILL_S = 2.0  # At most, since the first label map is being made.
SCHEMES = ("grpc", "http")
WRONG_FLAGS = (
    *(f"--models={value}" for value in ("", " ", "nowhere", "../x", "\u202e", __file__)),
    *(f"--{kind}_port={value}" for kind in ("http", "grpc") for value in ("x", "-1", "99999")),
    *("--metrics_port=", "--host=nowhere.invalid", "--host= ", "--unknown=1", "models"),
)


def trials(
    material: Material, random: Random, share: float, inside: Inside, running: Running
) -> Iterator[Trial]:
    for kind, total, trial in (
        ("requests", 120, _request),
        ("images", 20, _image),
        ("addresses", 20, _address),
        ("restarts", 16, _restarted),
    ):
        for number in range(count(total, share)):
            seed = int(random.integers(2**32))
            run = partial(_alone, trial, material, inside, running, seed)
            yield Trial(f"{KIND}, {kind}", f"number {number}, seed {seed}", run)


def _alone(
    trial: Callable[[Material, Inside, Running, Random, Path], Result],
    material: Material,
    inside: Inside,
    running: Running,
    seed: int,
    folder: Path,
) -> Result:
    with running.alone(material.model):
        return trial(material, inside, running, np.random.default_rng(seed), folder)


def at_server(address: str, images: Sequence[Path], output: Path) -> str:
    """A digest of the label map that is written."""
    return written(remote(Address.parse(address)), images, output)


def all_at_server(address: str, images: Path, output: Path) -> str:
    """A digest of all label maps, with their names."""
    predict_all(remote(Address.parse(address)), images, output)
    return digest_of(output)


def described(address: str) -> str:
    """What is at an address, asked with little patience."""
    kept = server.AWAY_S, server.UNKNOWN_S
    server.AWAY_S = server.UNKNOWN_S = PATIENCE_S
    try:
        return str(remote(Address.parse(address)).description)
    finally:
        server.AWAY_S, server.UNKNOWN_S = kept


def _request(
    material: Material, inside: Inside, running: Running, random: Random, folder: Path
) -> Result:
    running.start()
    seed = int(random.integers(2**32))
    found = inside.tried(asked, material.model, running.ports, folder, seed, expected=SAME)
    return _alive(running, found)


def _alive(running: Running, result: Result) -> Result:
    if not running.lives:
        return Result(Outcome.CRASH, f"the server has ended: {running.ended}: {result.said}")
    return result


def _image(
    material: Material, inside: Inside, running: Running, random: Random, folder: Path
) -> Result:
    """One damaged image of one subject. What is expected is the label map of predict --model."""
    running.start()
    ending = ENDINGS[int(random.integers(len(ENDINGS)))]
    plain = sorted((material.table(ending) / "s0").glob(f"t*.{ending}"))
    images = sorted(copied(plain[0].parent, folder / "s0").glob(f"t*.{ending}"))
    _, done = damaged_one(images, random)
    made = material.folder / f"plain-{ending}.nii.gz"
    expected = inside.digest(predicted, material.model, tuple(plain), made)
    address, output = running.address(_one_of(SCHEMES, random)), folder / "label.nii.gz"
    found = inside.tried(at_server, address, images, output, expected=expected)
    if found.outcome is Outcome.REFUSED and output.exists():
        return Result(Outcome.SILENT, f"{done}: refused, and yet there is a label map")
    return _alive(running, Result(found.outcome, f"{done}: {found.said}"))


def _address(_: Material, inside: Inside, running: Running, random: Random, __: Path) -> Result:
    """Of nobody, of another door, of another name or version."""
    running.start()
    http, grpc, metrics = running.ports
    scheme = _one_of(SCHEMES, random)
    own = http if scheme == "http" else grpc
    text = (
        f"{scheme}://localhost:{free_ports(1)[0]}/{NAME}",
        f"{scheme}://localhost:{metrics}/{NAME}",
        f"{scheme}://localhost:{http + grpc - own}/{NAME}",
        f"{scheme}s://localhost:{own}/{NAME}",
        f"{scheme}://nowhere.invalid:{own}/{NAME}",
        f"{scheme}://localhost:{own}/{NAME}/2",
        f"{scheme}://localhost:{own}/{_one_of(HOSTILE, random)}",
    )[int(random.integers(7))]
    found = inside.tried(described, text, expected="nothing")
    return _alive(running, Result(found.outcome, f"{text!r:.100}: {found.said}"))


def _restarted(
    material: Material, inside: Inside, running: Running, random: Random, folder: Path
) -> Result:
    """Killed while a client asks, maybe with another version since; or damaged; or wrong flags."""
    way = int(random.integers(4))
    if way == 0:
        return _wrongly_started(running, _one_of(WRONG_FLAGS, random))
    running.start()
    try:
        if way == 1:
            return _damaged(material, inside, running, random, folder)
        if way == 2:
            copied(material.other_model, running.models / NAME / "2")
        found = _killed(material, inside, running, random, folder / "out")
        return _alive(running, Result(found.outcome, f"way {way}: {found.said}"))
    finally:
        if way < 3:
            running.reset()


def _killed(
    material: Material, inside: Inside, running: Running, random: Random, output: Path
) -> Result:
    """What its client makes of six subjects: each label map is the first version's."""
    address = running.address(_one_of(SCHEMES, random))
    expected = digest_of(material.predictions)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(
            inside.tried, all_at_server, address, material.images, output, expected=expected
        )
        while not output.exists() and not asking.done():
            time.sleep(0.01)
        time.sleep(random.uniform(0, BEFORE_KILL_S))
        running.kill_and_start()
        found = asking.result()
    for path in output.glob("*.nii.gz"):
        if same.label_map(path) != same.label_map(material.predictions / path.name):
            return Result(Outcome.SILENT, f"{path.name} is another one: {found.said}")
    return found


def _damaged(
    material: Material, inside: Inside, running: Running, random: Random, folder: Path
) -> Result:
    """One of the model's files, under the server's feet: now and after its next start."""
    files = sorted(path for path in (running.models / NAME).rglob("*") if path.is_file())
    chosen = files[int(random.integers(len(files)))]
    if random.random() < 0.2:
        chosen.unlink()
        done = f"{chosen.name} is gone"
    else:
        done = f"{chosen.name}: {damage(chosen, random)}"
    images = tuple(sorted((material.table("nii.gz") / "s0").glob("t*.nii.gz")))
    made = material.folder / "plain-nii.gz.nii.gz"
    expected = inside.digest(predicted, material.model, images, made)
    address = running.address(_one_of(SCHEMES, random))
    found = inside.tried(at_server, address, images, folder / "now.nii.gz", expected=expected)
    if found.outcome in GOOD:
        running.kill_and_start()
        if running.lives:
            after = folder / "after.nii.gz"
            found = inside.tried(at_server, address, images, after, expected=expected)
        else:
            found = _refused(*running.ended)
    return Result(found.outcome, f"{done}: {found.said}")


def _wrongly_started(running: Running, flag: str) -> Result:
    """With a flag that cannot be."""
    ended = started_wrongly(f"--models={running.models}", flag)
    if "Traceback" in ended.stderr:
        return Result(Outcome.TRACEBACK, f"{flag}: {ended.stderr}")
    found = _refused(ended.returncode, ended.stderr.strip().rpartition("\n")[2])
    return Result(found.outcome, f"{flag}: {found.said}")


def _refused(status: int | None, said: str) -> Result:
    if status is None or status <= 0:
        return Result(Outcome.CRASH, f"status {status}: {said}")
    return Result(Outcome.REFUSED if "error: " in said else Outcome.TRACEBACK, said)


def _one_of(values: Sequence[str], random: Random) -> str:
    return values[int(random.integers(len(values)))]
