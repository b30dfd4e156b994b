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
from tempfile import TemporaryFile
from typing import NoReturn

from kdns.cli.furnish import furnish
from kdns.corefile.tree import ConfigError
from kdns.observe import logs
from kdns.plugins.base import Life
from kdns.server import notify
from kdns.server.assembly import Assembly, Services, build
from kdns.server.begin import corefile, new_loop
from kdns.server.reload import Reloader
from kdns.server.service import Service, Stopping
from kdns.server.siblings import Siblings, wanted
from kdns.server.sockets import StartError
from kdns.server.workers.command import command
from kdns.server.workers.messages import Setup, pack

log = logging.getLogger(logs.ROOT)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    corefile: str | None
    port: int = 53
    is_quiet: bool = False
    pidfile: str = ""
    log_format: str = "text"
    workers: int | None = None
    """How many processes serve; None where the Corefile may say it."""


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
        count = options.workers or wanted(assembly, logs.warn)
        if count > 1:
            _supervise(text, path, count, options, banner, services.life)
        if options.workers:
            services.siblings = Siblings(is_fixed=True)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_serve(assembly, services, options, banner))
    except (StartError, ConfigError, OSError) as error:
        logs.fatal(str(error))
        return 2 if isinstance(error, ConfigError) else 3
    finally:
        if pidfile:
            pidfile.unlink(missing_ok=True)


def _supervise(
    text: str, path: str, count: int, options: Options, banner: str, life: Life
) -> NoReturn:
    """Becomes the supervisor of several workers: the same process, without what it does not need.

    They are told the Corefile as it was read and checked here, so a mistake in it is told here.
    """
    setup = Setup(
        text, path, options.port, count, options.workers is not None, options.corefile,
        options.is_quiet, options.pidfile, options.log_format, banner, life.mark, life.secret,
    )  # fmt: skip
    with (
        TemporaryFile() if sys.platform != "linux" else open(os.memfd_create("kdns"), "w+b") as file
    ):
        file.write(pack(setup))
        file.flush()
        file.seek(0)
        fd = os.dup(file.fileno())
    os.set_inheritable(fd, True)
    try:
        os.execv(sys.executable, command("supervisor", fd))  # noqa: S606 - our own interpreter
    except OSError as error:
        raise StartError(f"cannot start workers with {sys.executable}: {error.strerror}") from error


def _write(pidfile: Path) -> None:
    try:
        pidfile.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise StartError(f"cannot write the pid file {pidfile}: {error.strerror}") from error


async def _serve(assembly: Assembly, services: Services, options: Options, banner: str) -> int:
    service = Service(assembly, services)
    furnish(service)
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
        logs.announce("\n".join([*assembly.served, banner, *service.greeting]))
    notify.ready(assembly.served)
    notify.keep_alive()
    await service.wait()
    await service.wind_down()
    await service.stop()
    return 0


def _watch(service: Service, services: Services, options: Options) -> None:
    """Has the signals that reload, and the `reload` directive, read the Corefile again."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, logs.warn, logs.NOT_REPLACED)
    if options.corefile == "stdin":
        for number in (signal.SIGHUP, signal.SIGUSR1):
            loop.add_signal_handler(number, logs.warn, logs.FROM_STDIN)
        return
    source = partial(corefile, options.corefile, options.port)
    reloader = Reloader(service, services, source, port=options.port)
    services.life.corefile = options.corefile or "Corefile"
    services.life.reload = reloader.check
    reloader.begun = notify.reloading
    reloader.over = lambda: notify.ready(service.assembly.served)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        loop.add_signal_handler(number, reloader.order)


def _end(service: Service, number: signal.Signals, options: Options) -> None:
    """Begins the graceful stop; SIGINT again ends at once."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, _quit, options, 1)
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    if not options.is_quiet:
        log.info(logs.STOPPING, number.name)
    notify.stopping()
    service.end()


def _quit(options: Options, code: int) -> None:
    """Ends at once."""
    if options.pidfile:
        Path(options.pidfile).unlink(missing_ok=True)
    os._exit(code)
