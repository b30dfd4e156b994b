# kdns in a container, in the place of CoreDNS's image: takes its arguments (-conf /etc/coredns/Corefile), runs in kubeadm's container spec unchanged.
# Builds for amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 .
# Tags are pinned to a release; pin them to a digest too where your registry keeps them: --build-arg PYTHON=python:3.13.5-slim-bookworm@sha256:…
ARG PYTHON=python:3.13.5-slim-bookworm

FROM ${PYTHON} AS build
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY kdns kdns
# The interpreter is a copy that may bind port 53, by a capability of its file. With no_new_privs that has effect where the runtime
# leaves NET_BIND_SERVICE permitted to the user it starts; where the ports of a pod are free (Docker, containerd 2) nothing is
# needed. The kernel refuses to start it in a container whose bounding set lacks the capability.
RUN python -m venv --copies /opt/kdns \
 && PIP_CONSTRAINT=/src/constraints.txt /opt/kdns/bin/pip install --no-cache-dir --no-compile '.[quic]' \
 && /opt/kdns/bin/pip uninstall --yes pip \
 && cd /opt/kdns/bin && version=$(python -c 'import sys; print("python%d.%d" % sys.version_info[:2])') \
 && ln -sf "$version" python && ln -sf "$version" python3 \
 && setcap cap_net_bind_service=+ep "$version"
# Compiled ahead: the root is read-only, and these base images come without the library's .pyc files.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/kdns/lib /usr/local/lib/python3.*

FROM ${PYTHON}
COPY --from=build /usr/local/lib /usr/local/lib
COPY --from=build /opt/kdns /opt/kdns
RUN ln -s /opt/kdns/bin/kdns /usr/local/bin/kdns && ln -s /opt/kdns/bin/kdns /coredns
USER 65532:65532
WORKDIR /
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 53/udp 53/tcp
HEALTHCHECK NONE
ENTRYPOINT ["/opt/kdns/bin/kdns"]
