"""What is in a bundle, read without any code of ours."""

from __future__ import annotations

import tarfile
from pathlib import Path

from adapters.session_files.zstd import ZstdDecompressor


def text_of(bundle: Path) -> str:
    """Everything in it, uncompressed, with the names of its files."""
    found = []
    with tarfile.open(bundle) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            content = file.read()
            found.append(ZstdDecompressor().decompress(content) if member.name.endswith(".zst") else content)
        names = "\n".join(tar.getnames())
    return names + b"\n".join(found).decode()
