"""Upstreams asked over HTTP, gRPC and QUIC."""
