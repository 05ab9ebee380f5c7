"""Zstandard: of the standard library from Python 3.14 on, of its backport before."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import CompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdError
else:
    from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdError

__all__ = ["ZstdCompressor", "ZstdDecompressor", "ZstdError", "compressor"]

_LEVEL = 1
"""Of frames it leaves no more than the usual 3 does, for two thirds of the time."""


def compressor() -> ZstdCompressor:
    """For one segment. Its frame ends with a checksum, so that any zstd tool can test the file."""
    return ZstdCompressor(
        options={CompressionParameter.compression_level: _LEVEL, CompressionParameter.checksum_flag: 1}
    )
