"""What look.c does, by way of the C library that runs this Python: glibc's part needs no compiler."""

import ctypes
import socket
import sys

NEW_MOUNTS = 0x00020000
BIND = 4096
FAMILIES = {"0": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}


def main(conf: str, name: str, family: str) -> None:
    libc = ctypes.CDLL(None)
    if libc.unshare(NEW_MOUNTS):
        sys.exit(1)
    if libc.mount(conf.encode(), b"/etc/resolv.conf", None, BIND, None):
        sys.exit(2)
    try:
        found = socket.getaddrinfo(
            name.encode(), None, FAMILIES[family], socket.SOCK_STREAM, 0, socket.AI_CANONNAME
        )
    except socket.gaierror as error:
        print(error.errno, "-")
        return
    print(0, found[0][3] or "-", *(address[0] for *_, address in found))


main(*sys.argv[1:])
