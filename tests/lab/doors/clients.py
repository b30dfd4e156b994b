"""Real clients of doors, as commands: kubectl, and kdns's own."""

import asyncio
import fcntl
import os
import shutil
import struct
import sys
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

KUBECTL = shutil.which("kubectl")
OURS = [
    sys.executable, "-c",
    "import sys; from kdns.cli.lab_exec import main; sys.exit(main(sys.argv[1:]))",
]  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """How it ended."""

    code: int
    out: bytes
    err: bytes


async def run(words: Sequence[str], octets: bytes | None = None, **environ: str) -> Ran:
    """Runs one to its end, with some input or none."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL if octets is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
        cwd=environ.get("PWD"),
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(octets), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Ran(process.returncode, out, err)


@dataclass
class Window:
    """A client in a terminal of its own."""

    process: asyncio.subprocess.Process
    terminal: int
    seen: bytearray = field(default_factory=bytearray)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    async def see(self, text: bytes) -> None:
        """Waits until something is shown."""
        deadline = asyncio.get_running_loop().time() + 30
        while text not in self.seen:
            assert asyncio.get_running_loop().time() < deadline, self.seen
            self._read()
            await asyncio.sleep(0.01)

    async def end(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(30):
            while self.process.returncode is None:
                self._read()
                await asyncio.sleep(0.01)
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        try:
            self.seen += os.read(self.terminal, 65536)
        except OSError:
            return


@asynccontextmanager
async def window(words: Sequence[str], rows: int = 31, columns: int = 99) -> AsyncIterator[Window]:
    """Opens one."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)

    def begin() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=begin
        )
    finally:
        os.close(theirs)
    try:
        yield Window(process, ours)
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
        await process.wait()


def words_of(client: str, config: Path) -> list[str]:
    """The client's words up to its own flags."""
    if client == "kubectl":
        return [KUBECTL or "kubectl", "--kubeconfig", str(config), "exec"]
    return [*OURS, "--kubeconfig", str(config)]
