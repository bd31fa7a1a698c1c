"""The segmentors of the papers in PyTorch, of the same layers, to measure ours by.

Runs in the environment of requirements.txt; imports nothing of tfadv.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def moeskops(channels: int, classes: int, dilations: tuple[int, ...], hidden: int) -> nn.Module:
    """Valid convolutions of 32 kernels with batch normalisation."""
    layers: list[nn.Module] = []

    def add(received: int, kernels: int, size: int, dilation: int = 1) -> None:
        layers.extend(
            (
                nn.Conv2d(received, kernels, size, dilation=dilation),
                nn.BatchNorm2d(kernels, eps=1e-3),
                nn.ReLU(),
            )
        )

    for number, dilation in enumerate(dilations):
        add(32 if number else channels, 32, 3, dilation)
    if hidden:
        layers.append(nn.Dropout(0.5))
        add(32, hidden, 1)
    layers.extend((nn.Dropout(0.5), nn.Conv2d(hidden or 32, classes, 1)))
    return nn.Sequential(*layers)


class SegAN(nn.Module):
    """Strided 4x4 convolutions, then bilinear upsampling with skips."""

    def __init__(self, channels: int, outputs: int, width: int) -> None:
        super().__init__()
        maps = [width * factor for factor in (1, 2, 4, 8)]
        self.down = nn.ModuleList()
        for level, (received, given) in enumerate(zip([channels, *maps], maps, strict=False)):
            convolution = nn.Conv2d(received, given, 4, 2, 1, bias=level == 0)
            norm = nn.BatchNorm2d(given) if level else nn.Identity()
            self.down.append(nn.Sequential(convolution, norm, nn.LeakyReLU(0.2)))
        self.up = nn.ModuleList()
        received = maps[-1]
        for given in maps[-2::-1]:
            convolution = nn.Conv2d(received, given, 3, padding=1, bias=False)
            self.up.append(nn.Sequential(convolution, nn.BatchNorm2d(given), nn.ReLU()))
            received = 2 * given
        self.last = nn.Conv2d(received, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        for up, skip in zip(self.up, skips[-2::-1], strict=True):
            x = torch.cat([up(_doubled(x, "bilinear")), skip], 1)
        return self.last(_doubled(x, "bilinear"))


class UNet(nn.Module):
    """Five levels: max-pooling, upsampling, skips. Of Kohl in 2D, of Peiris in 3D.

    Args:
        axes: 2 with instance normalisation and nearest upsampling, one convolution a level; 3 with
            group normalisation and trilinear upsampling, two convolutions a level.
    """

    def __init__(self, channels: int, outputs: int, width: int, axes: int) -> None:
        super().__init__()
        self.axes = axes
        convolution = nn.Conv2d if axes == 2 else nn.Conv3d

        def layer(received: int, given: int, normalised: bool = True) -> nn.Module:
            groups = given if axes == 2 else min(8, given)
            norm = nn.GroupNorm(groups, given) if normalised else nn.Identity()
            padded = convolution(received, given, 3, padding=1, bias=not normalised)
            return nn.Sequential(padded, norm, nn.LeakyReLU(0.2) if axes == 2 else nn.ReLU())

        maps = [width * 2**level for level in range(5)]
        self.down, self.reduce, self.up = (nn.ModuleList() for _ in range(3))
        for level, (received, given) in enumerate(zip([channels, *maps], maps, strict=False)):
            first = layer(received, given, normalised=axes == 3 or level > 0)
            self.down.append(nn.Sequential(first, layer(given, given)) if axes == 3 else first)
        for given in maps[-2::-1]:
            if axes == 3:
                self.reduce.append(layer(2 * given, given))
                self.up.append(nn.Sequential(layer(2 * given, given), layer(given, given)))
            else:
                self.reduce.append(nn.Identity())
                self.up.append(layer(3 * given, given))
        self.last = convolution(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        pool = functional.max_pool2d if self.axes == 2 else functional.max_pool3d
        skips = []
        for level, down in enumerate(self.down):
            x = down(pool(x, 2) if level else x)
            skips.append(x)
        for reduce, up, skip in zip(self.reduce, self.up, skips[-2::-1], strict=True):
            doubled = _doubled(x, "nearest" if self.axes == 2 else "trilinear")
            x = up(torch.cat([skip, reduce(doubled)], 1))
        return self.last(x)


def _doubled(x: Tensor, mode: str) -> Tensor:
    corners = None if mode == "nearest" else False
    return functional.interpolate(x, scale_factor=2, mode=mode, align_corners=corners)
