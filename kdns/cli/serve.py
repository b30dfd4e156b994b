"""Serves a Corefile until a signal ends it: SIGTERM and SIGINT gracefully, SIGQUIT at once.

SIGUSR1 and SIGHUP have the Corefile read again, changed or not. SIGUSR2 replaces the program in
CoreDNS; here it is said that it does not.
"""

import asyncio
import logging
import os
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kdns.corefile.tree import ConfigError
from kdns.observe import logs
from kdns.server.assembly import Assembly, Services, build, read
from kdns.server.reload import Reloader
from kdns.server.service import Service, Stopping
from kdns.server.sockets import StartError

log = logging.getLogger(logs.ROOT)


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
        loop.add_signal_handler(number, _end, service, number, options)
    loop.add_signal_handler(signal.SIGQUIT, _quit, options, 0)
    _watch(service, services, options)
    try:
        await service.start()
    except Stopping:
        return 0
    if not options.is_quiet:
        logs.announce("\n".join(assembly.served))
        logs.announce(banner)
    await service.wait()
    await service.wind_down()
    await service.stop()
    return 0


_FROM_STDIN = "nothing is reloaded: the Corefile came from standard input"


def _watch(service: Service, services: Services, options: Options) -> None:
    """Has the signals that reload, and the `reload` directive, read the Corefile again."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(
        signal.SIGUSR2, _stay, "SIGUSR2: the program is not replaced; restart kdns"
    )
    if options.corefile == "stdin":
        for number in (signal.SIGHUP, signal.SIGUSR1):
            loop.add_signal_handler(number, _stay, _FROM_STDIN)
        return
    source = partial(corefile, options.corefile, options.port)
    reloader = Reloader(service, services, source, port=options.port)
    services.life.corefile = options.corefile or "Corefile"
    services.life.reload = reloader.check
    for number in (signal.SIGHUP, signal.SIGUSR1):
        loop.add_signal_handler(number, reloader.order)


def _end(service: Service, number: signal.Signals, options: Options) -> None:
    """Begins the graceful stop; SIGINT again ends at once."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, _quit, options, 1)
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    if not options.is_quiet:
        log.info("%s: stopping; what was asked before is still answered", number.name)
    service.end()


def _quit(options: Options, code: int) -> None:
    """Ends at once."""
    if options.pidfile:
        Path(options.pidfile).unlink(missing_ok=True)
    os._exit(code)


def _stay(why: str) -> None:
    """Tells whoever knows the signal from CoreDNS that nothing happens."""
    logs.warn(why)
