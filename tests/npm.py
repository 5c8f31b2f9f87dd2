"""Files of packages that npm fetches."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest


def npm_file(package: str, member: str, digest: str, folder: Path) -> str:
    """Return the text of a file of a package, kept in `folder`; where npm cannot get it, skip, and fail in CI.

    Args:
        package: `name@version`.
        member: the path of the file in the package.
        digest: SHA-256 of the file, in hexadecimal.
        folder: to keep it in.
    """
    kept = folder / Path(member).name
    if not kept.exists():
        command = [shutil.which("npm") or "npm", "pack", package, "--silent", "--pack-destination", str(folder)]
        try:
            subprocess.run(command, capture_output=True, timeout=120, check=True)
        except (OSError, subprocess.SubprocessError):
            message = f"needs {package}, which npm fetches"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        with tarfile.open(next(folder.glob("*.tgz"))) as packed:
            content = packed.extractfile(f"package/{member}")
            assert content is not None
            kept.write_bytes(content.read())
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == digest, f"{kept} is not that of {package}"
    return kept.read_text(encoding="utf-8")
