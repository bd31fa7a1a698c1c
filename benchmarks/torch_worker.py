"""What PyTorch and MONAI do beside us: `torch_worker.py TASK`, in requirements.txt's environment.

Says "ready"; then, for every line that it reads, does the task once and says "done".
"""

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_networks import SegAN, UNet, moeskops

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


def main() -> None:
    torch.manual_seed(0)
    task, _, dtype = sys.argv[1].partition(":")
    action = sliding_window() if task == "monai" else step_of(task, getattr(torch, dtype))
    print("ready", flush=True)
    for _ in sys.stdin:
        action()
        print("done", flush=True)


if __name__ == "__main__":
    main()
