"""Serves a Corefile until a signal ends it: SIGTERM and SIGINT gracefully, SIGQUIT at once.

SIGHUP is ignored, as in CoreDNS. What SIGUSR1 and SIGUSR2 do there is not done here: it is said.
"""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from kdns.corefile.tree import ConfigError
from kdns.observe import logs
from kdns.server.assembly import Assembly, Services, build, read
from kdns.server.service import Service
from kdns.server.sockets import StartError


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    corefile: str | None
    port: int = 53
    is_quiet: bool = False
    pidfile: str = ""
    log_format: str = "text"


def run(options: Options, *, banner: str) -> int:
    """Serves; returns the exit code."""
    logs.set_up(options.log_format)
    services = Services()
    errors: list[ConfigError] = []
    try:
        text, path = corefile(options.corefile, options.port)
        assembly = build(text, path, services, errors, port=options.port, warn=logs.warn)
    except ConfigError as error:
        errors.append(error)
    if errors:
        for mistake in errors:
            logs.fatal(str(mistake))
        return 2
    pidfile = Path(options.pidfile) if options.pidfile else None
    try:
        if pidfile:
            _write(pidfile)
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(_serve(assembly, services, options, banner))
    except (StartError, ConfigError, OSError) as error:
        logs.fatal(str(error))
        return 2 if isinstance(error, ConfigError) else 3
    finally:
        if pidfile:
            pidfile.unlink(missing_ok=True)


def _write(pidfile: Path) -> None:
    try:
        pidfile.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise StartError(f"cannot write the pid file {pidfile}: {error.strerror}") from error


def corefile(given: str | None, port: int) -> tuple[str, str]:
    """The Corefile's text and name: the one given, `stdin`, ./Corefile, or the default."""
    if given == "stdin":
        return sys.stdin.read(), "stdin"
    path = given if given is not None else "Corefile" if Path("Corefile").exists() else ""
    return read(path, port=port), path or "Corefile"


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it is installed, else the standard one."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _serve(assembly: Assembly, services: Services, options: Options, banner: str) -> int:
    service = Service(assembly, services)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, service, number.name, options)
    loop.add_signal_handler(signal.SIGQUIT, _quit, options)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, _stay, number.name)
    await service.start()
    if not options.is_quiet:
        logs.announce("\n".join(assembly.served))
        logs.announce(banner)
    await service.wait()
    loop.remove_signal_handler(signal.SIGINT)  # a second one ends at once
    await service.stop()
    return 0


def _end(service: Service, name: str, options: Options) -> None:
    """Begins the graceful stop."""
    if not options.is_quiet:
        logs.announce(f"{name}: stopping; what was asked before is still answered")
    service.end()


def _quit(options: Options) -> None:
    """Ends at once."""
    if options.pidfile:
        Path(options.pidfile).unlink(missing_ok=True)
    os._exit(0)


def _stay(name: str) -> None:
    """Tells whoever knows the signal from CoreDNS that nothing was reloaded."""
    logs.warn(f"{name}: nothing is reloaded yet; restart kdns to have it read its Corefile again")
