# A runner process for Python handlers, for orchestrators that start none themselves (mode = "external"). It
# listens on loopback only: run it in the network name space of its orchestrator (deploy/kubernetes/sidecar.yaml).
#
#   make wheels
#   docker build -f deploy/docker/runner.Dockerfile -t rrq-runner .
#
#   FROM rrq-runner
#   USER root
#   RUN pip install pillow
#   USER 10001
#   COPY --chown=10001 shop /app/shop
#   ENV RRQ_RUNNER_SETTINGS=shop.jobs:settings
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# E.g. an index of your own.
ARG PIP_OPTIONS=""
COPY dist/*.whl /wheels/
# Ours are named by their files, so that no index can put others in their place.
RUN python -m venv --without-pip /opt/rrq && python -m pip --python /opt/rrq/bin/python install --no-cache-dir ${PIP_OPTIONS} \
    /wheels/rrq_protocol-*.whl /wheels/rrq_runner-*.whl

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/rrq/bin:$PATH PIP_PYTHON=/opt/rrq/bin/python PYTHONUNBUFFERED=1 RRQ_RUNNER_TCP_SOCKET=127.0.0.1:9001
COPY --from=build /opt/rrq /opt/rrq
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["rrq-runner"]
