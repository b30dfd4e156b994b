# kdns in a container: built from the pinned versions, runs as CoreDNS's image does (args: -conf /etc/coredns/Corefile).
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY kdns kdns
RUN python -m venv /opt/kdns \
 && PIP_CONSTRAINT=/src/constraints.txt /opt/kdns/bin/pip install --no-cache-dir --no-compile . \
 && /opt/kdns/bin/python -m compileall -q /opt/kdns/lib

FROM python:3.13-slim
COPY --from=build /opt/kdns /opt/kdns
RUN ln -s /opt/kdns/bin/kdns /usr/local/bin/kdns && ln -s /opt/kdns/bin/kdns /coredns
USER 65532:65532
WORKDIR /
EXPOSE 53/udp 53/tcp
ENTRYPOINT ["/opt/kdns/bin/kdns"]
