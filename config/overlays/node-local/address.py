"""Gives the node the address its pods ask: `python address.py 169.254.20.10`; again, no harm."""

import fcntl
import socket
import struct
import sys

NAME = b"lo:kdns"
SET_ADDRESS = 0x8916
SET_NETMASK = 0x891C

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    for request, address in ((SET_ADDRESS, sys.argv[1]), (SET_NETMASK, "255.255.255.255")):
        packed = socket.inet_aton(address)
        fcntl.ioctl(control, request, struct.pack("16sHH4s8x", NAME, socket.AF_INET, 0, packed))
