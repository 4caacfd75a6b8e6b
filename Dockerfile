# The exporter as a non-root process that writes nowhere but to its volume. docs/container.md says how to
# run it. With --build-arg LOCK=demo.lock the image can also run `demo`, given a writable /tmp.

FROM python:3.13.9-slim-bookworm AS build
ARG LOCK=runtime.lock
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# For the part that is written in C. Nothing of it gets into the image.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev

# What it needs, pinned by hash: a layer that changes only when the lock does.
COPY deploy/locks/ deploy/locks/
RUN python -m venv /opt/privatelink-exporter
RUN /opt/privatelink-exporter/bin/python -m pip install --only-binary :all: --require-hashes --requirement deploy/locks/$LOCK

# The exporter itself, as a wheel of the same build backend as everywhere.
RUN python -m venv /opt/build
RUN /opt/build/bin/python -m pip install --only-binary :all: --require-hashes --requirement deploy/locks/build.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY exporter/ exporter/
COPY dashboards/ dashboards/
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheels .
RUN /opt/privatelink-exporter/bin/python -m pip install --no-deps --no-index /opt/wheels/*.whl
# Compiled now, for the root file system may be read-only; and nothing is installed later.
RUN /opt/privatelink-exporter/bin/python -m compileall -q -j 0 /opt/privatelink-exporter/lib
RUN /opt/privatelink-exporter/bin/python -m pip uninstall --yes pip


FROM python:3.13.9-slim-bookworm
LABEL org.opencontainers.image.title="privatelink-exporter" \
      org.opencontainers.image.description="Watches AWS PrivateLink from both ends and gives what it knows to Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13.9-slim-bookworm"
ENV PATH=/opt/privatelink-exporter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/privatelink-exporter /opt/privatelink-exporter
# The working directory is the volume: the default storage path, ./state, lies in it.
RUN install --directory --owner=65532 --group=65532 --mode=0750 /var/lib/privatelink-exporter
WORKDIR /var/lib/privatelink-exporter
VOLUME ["/var/lib/privatelink-exporter"]
USER 65532:65532
EXPOSE 10911
# Isolated (-I): nothing in the volume is taken for a module. It asks port 10911 of this container.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s CMD ["python", "-I", "-m", "exporter.healthcheck"]
ENTRYPOINT ["privatelink-exporter"]
CMD ["serve"]
