"""https3: the bounds of a block's listeners for DoH over HTTP/3."""

from kdns.corefile.options import Shape, Syntax, integer
from kdns.plugins.base import Monitor


class Https3(Monitor):
    """`https3 { … }`."""

    name = "https3"
    syntax = Syntax(
        options={
            "max_connections": Shape(words=(integer(0),), is_single=True),
            "max_streams": Shape(words=(integer(0),), is_single=True),
        },
        repeats=True,
    )
