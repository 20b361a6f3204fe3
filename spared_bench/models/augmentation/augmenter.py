"""A method's augmentation, ready for batches: parts one after the other, each one's result checked.

What keeps no promise is refused by the name of the method and of the part: an augmentation that
returned float images, say, would train another network than was meant, or none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from spared_bench.errors import PluginError, UsageError
from spared_bench.models.augmentation.names import made
from spared_bench.models.augmentation.per_patch import PerPatch, is_torchvision
from spared_bench.models.augmentation.symmetries import Symmetries


class Augmentation(Protocol):
    """What is done to a batch of patches in training."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return bytes of the same shape, (n_patches, 3, size, size), on the same device."""
        ...


class Augmenter:
    """Augmentations of one method, one after the other.

    Parameters
    ----------
    wanted : object
        ``True`` for the eight symmetries, ``False`` or ``None`` for nothing; an ``Augmentation``, a
        transform of ``torchvision.transforms.v2``, a name (``augmentation.names``), or a list.
    method : str
        Whose it is: ``"predictor 'my-method'"``.

    Raises
    ------
    UsageError
        For a name or a parameter that there is not.
    PluginError
        For what can augment nothing.
    """

    def __init__(self, wanted: Any = True, method: str = "the method") -> None:
        self.method = method
        try:
            self.parts: list[Augmentation] = [self._part(each) for each in _flat(wanted)]
        except UsageError as error:
            raise UsageError(f"{method}: {error}") from error

    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Augment bytes, (n_patches, 3, size, size); without a generator, leave them.

        Raises
        ------
        PluginError
            If a part returns another shape, type or device than it was given.
        """
        if generator is None:
            return images
        for part in self.parts:
            images = self._checked(part, images, part(images, generator))
        return images

    def _part(self, wanted: Any) -> Augmentation:
        if inspect.isclass(wanted):
            raise PluginError(
                f"{self.method} has the class {wanted.__name__} as an augmentation. Make one:"
                f" `{wanted.__name__}()`."
            )
        if is_torchvision(wanted):
            return PerPatch(wanted)
        if not callable(wanted):
            raise PluginError(
                f"{self.method} has {wanted!r} as an augmentation. Expected a callable"
                " (images, generator) -> images, a transform of torchvision.transforms.v2, or a"
                " name of `spared_bench.models.augmentation`."
            )
        if not _takes_two(wanted):
            raise PluginError(
                f"{self.method}: its augmentation {_called(wanted)} takes other arguments than"
                " (images, generator)."
            )
        part: Augmentation = wanted
        return part

    def _checked(self, part: Any, given: Tensor, made: Any) -> Tensor:
        if (
            isinstance(made, Tensor)
            and made.shape == given.shape
            and made.dtype == given.dtype
            and made.device == given.device
        ):
            return made
        raise PluginError(
            f"{self.method}: its augmentation {_called(part)} was given {_described(given)} and"
            f" returned {_described(made)}. An augmentation keeps shape, type and device: resizing"
            " and scaling belong into the network or into `normalisation`."
        )


def augmented(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Augment patches as they are stored, channels last: (n_patches, size, size, 3)."""
    made = augmentation(images.permute(0, 3, 1, 2), generator)
    return made.permute(0, 2, 3, 1).contiguous()


def _takes_two(part: Callable[..., Any]) -> bool:
    try:
        inspect.signature(part).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # one of C, which does not tell
        return True
    return True


def _flat(wanted: Any) -> Iterable[Any]:
    """Yield the parts of what is wanted, with names made into what they stand for."""
    if wanted is None or wanted is False:
        return
    if wanted is True:
        yield Symmetries()
    elif isinstance(wanted, str | dict):
        yield from made(wanted)
    elif isinstance(wanted, list | tuple):
        for each in wanted:
            yield from _flat(each)
    elif isinstance(wanted, Augmenter):
        yield from wanted.parts
    else:
        yield wanted


def _called(part: Callable[..., Any]) -> str:
    inner = part.transform if isinstance(part, PerPatch) else part
    return str(getattr(inner, "__name__", type(inner).__name__))


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    kind = str(value.dtype).removeprefix("torch.")
    return f"{kind} of shape {tuple(value.shape)} on {value.device}"
