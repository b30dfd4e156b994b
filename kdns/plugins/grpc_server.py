"""grpc_server: the bounds of a block's gRPC listeners."""

from kdns.corefile.options import Shape, Syntax, integer
from kdns.plugins.base import Monitor


class GrpcServer(Monitor):
    """`grpc_server { … }`."""

    name = "grpc_server"
    syntax = Syntax(
        options={
            "max_connections": Shape(words=(integer(0),), is_single=True),
            "max_streams": Shape(words=(integer(0),), is_single=True),
        },
        repeats=True,
    )
