"""What is said of an image that cannot be read, or not in one way only."""

from __future__ import annotations

from pathlib import Path

from spared_bench.errors import ImageError


def undecodable(path: Path, error: Exception) -> ImageError:
    """Return the error for a file that is damaged, or of an unknown format."""
    reason = " ".join(str(error).split())[:300].rstrip(".")
    return ImageError(
        f"The image {path} ({path.stat().st_size:,} bytes) cannot be decoded: {reason}. It is"
        " damaged or incomplete (fetch it again), no image, or of a format that no reader here"
        " knows (convert it to TIFF, PNG or JPEG)."
    )


def unsupported(path: Path, what: str) -> ImageError:
    """Return the error for pixels that are no colours."""
    return ImageError(
        f"The image {path} has {what}; expected 1-4 channels of 8 or 16 bits. Convert it to an"
        " 8-bit RGB TIFF, PNG or JPEG."
    )


def inks(path: Path) -> ImageError:
    """Return the error for an image in CMYK: every printer's profile makes other colours of it."""
    return ImageError(
        f"The image {path} is in CMYK, inks for print, which are red, green and blue only by the"
        " profile of a printer. Take the image as the scanner wrote it, or convert it to RGB with"
        " the profile that it was made with (`magick IN -profile CMYK.icc -profile sRGB.icc OUT`)."
    )


def unclear(path: Path, what: str) -> ImageError:
    """Return the error for an image that could be read in several ways."""
    return ImageError(f"The image {path} has {what}. Save it as one RGB image of one page.")


def large_strip(path: Path, error: Exception) -> ImageError:
    """Return the error for a strip that is too large to be decoded whole, and is not in parts."""
    reason = " ".join(str(error).split())[:200].rstrip(".")
    return ImageError(
        f"The image {path} is stored in strips that are too large to be decoded at once, and it"
        f" cannot be decoded row by row ({reason}). Write it again in tiles, or in strips of a few"
        " rows; if nothing reads it, it is damaged: fetch it again."
    )


def no_codec(path: Path, codec: str, error: Exception) -> ImageError:
    """Return the error for an image that may be whole, but that nothing here decodes."""
    reason = " ".join(str(error).split())[:200].rstrip(".")
    return ImageError(
        f"The image {path} is compressed as {codec}, which no reader here decodes ({reason})."
        " Write it again with the compression deflate, LZW, zstd or JPEG."
    )
