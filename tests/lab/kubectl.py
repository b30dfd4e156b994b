"""kubectl itself, with a lab of its own whose controllers work."""

import asyncio
import json
import os
import shlex
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kdns.lab.lab import Lab

KUBECTL = shutil.which("kubectl")
NEEDED = [
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed"),
    pytest.mark.slow,
]
Run = Callable[..., Awaitable[str]]


@asynccontextmanager
async def speaking(folder: Path) -> AsyncIterator[Run]:
    """Runs commands of kubectl, in a folder."""
    async with Lab() as lab:
        config = lab.kubeconfig(folder / "config")

        async def run(
            command: str, given: object = None, *, code: int = 0, editor: str = ""
        ) -> str:
            """What a command prints; `given` is JSON on its standard input."""
            if given is not None:
                command += " -f -"
            child = await asyncio.create_subprocess_exec(
                KUBECTL or "",
                f"--kubeconfig={config}",
                f"--cache-dir={folder}",
                *shlex.split(command),
                cwd=folder,
                env=os.environ | {"KUBE_EDITOR": editor, "TMPDIR": str(folder)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            out = (await child.communicate(json.dumps(given).encode()))[0].decode()
            assert child.returncode == code, f"{command}: {out}"
            return out

        yield run
