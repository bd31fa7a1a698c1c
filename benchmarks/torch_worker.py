"""What PyTorch, MONAI and torchio do beside us: `torch_worker.py TASK`.

It runs in requirements.txt's environment, and offers the task to who started it.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_networks import SegAN, UNet, moeskops
from workers import offer

# Of each training step: the network, and the shapes of its images and of its label maps.
Case = tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]
STEPS: dict[str, Case] = {
    "dilated": (
        lambda: moeskops(1, 7, (1, 1, 2, 4, 8, 16, 1), 0),
        (100, 1, 87, 87),
        (100, 21, 21),
    ),
    "fcn": (lambda: moeskops(1, 7, (1,) * 15, 256), (100, 1, 51, 51), (100, 21, 21)),
    "segan": (lambda: SegAN(3, 4, 16), (16, 3, 160, 160), (16, 160, 160)),
    "unet": (lambda: UNet(3, 4, 16, 2), (5, 3, 208, 208), (5, 208, 208)),
    "unet3d": (lambda: UNet(4, 3, 8, 3), (2, 4, 64, 64, 64), (2, 64, 64, 64)),
}
WINDOW = (128, 128, 128)
BODY = (140, 170, 140)
CROPS = 16


def step_of(name: str, dtype: torch.dtype) -> Callable[[], object]:
    """One step of Adam on cross entropy, images with channels last."""
    build, shape, label_shape = STEPS[name]
    last = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    network = build().to(memory_format=last).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    image = torch.randn(shape).to(memory_format=last)
    label = torch.randint(0, 3, label_shape)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = network(image)
        functional.cross_entropy(logits.float(), label).backward()
        optimizer.step()

    return step


def sliding_window() -> Callable[[], object]:
    """MONAI's inferer over 240x240x155 x 4 with Gaussian weights, in float32."""
    from monai.inferers import sliding_window_inference  # noqa: PLC0415

    network = UNet(4, 3, 8, 3).to(memory_format=torch.channels_last_3d).eval()
    volume = torch.randn((1, 4, 155, 240, 240))

    def predicted() -> Tensor:
        with torch.inference_mode():
            maps = sliding_window_inference(
                volume, WINDOW, 1, network, overlap=0.5, mode="gaussian"
            )
            return torch.sigmoid(maps)

    return predicted


def crops_of(folder: Path) -> Callable[[], object]:
    """16 crops of 64^3 x 4 of three subjects, uncompressed, as large as the bodies of BraTS.

    Each is normalised by its own percentiles, and gives one crop a visit, as ours does.
    """
    import torchio  # noqa: PLC0415

    subjects = []
    for number in range(3):
        path = folder / f"{number}.nii"
        torchio.ScalarImage(tensor=torch.randint(1, 1000, (4, *BODY)).short()).save(path)
        label = folder / f"{number}_label.nii"
        torchio.LabelMap(tensor=torch.randint(0, 2, (1, *BODY)).byte()).save(label)
        images = {"image": torchio.ScalarImage(path), "label": torchio.LabelMap(label)}
        subjects.append(torchio.Subject(**images))
    visits = [subjects[number % 3] for number in range(CROPS)]
    scaled = torchio.RescaleIntensity((0, 1), percentiles=(1, 99), masking_method=_body)
    dataset = torchio.SubjectsDataset(visits, transform=scaled)
    sampler = torchio.data.UniformSampler(64)

    def read() -> None:
        queue = torchio.Queue(dataset, CROPS, 1, sampler, num_workers=torch.get_num_threads())
        for batch in torchio.SubjectsLoader(queue, batch_size=2):
            batch["image"]["data"].float()

    return read


def _body(image: Tensor) -> Tensor:
    return image > 0


def main() -> None:
    torch.manual_seed(0)
    task, _, dtype = sys.argv[1].partition(":")
    with tempfile.TemporaryDirectory() as folder:
        if task == "monai":
            action = sliding_window()
        elif task == "torchio":
            action = crops_of(Path(folder))
        else:
            action = step_of(task, getattr(torch, dtype))
        offer(action)


if __name__ == "__main__":
    main()
