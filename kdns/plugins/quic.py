"""quic: the bounds of a block's DoQ listeners."""

from kdns.corefile.options import Shape, Syntax, integer
from kdns.plugins.base import Monitor


class Quic(Monitor):
    """`quic { … }`."""

    name = "quic"
    syntax = Syntax(
        options={
            "max_streams": Shape(words=(integer(1),), is_single=True),
            "worker_pool_size": Shape(words=(integer(1),), is_single=True),
            "max_connections": Shape(words=(integer(0),), is_single=True),
        },
        repeats=True,
    )
