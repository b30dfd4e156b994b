"""DNS over HTTP/1.1, HTTP/2, HTTP/3, gRPC and QUIC."""
