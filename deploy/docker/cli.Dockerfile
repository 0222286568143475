# The rrq command, for people and for probes:
#
#   make wheels
#   docker build -f deploy/docker/cli.Dockerfile -t rrq-cli .
#   docker run --rm -e RRQ_REDIS_DSN rrq-cli queue list
#
# `rrq doctor` comes with rrq-orchestrator, which is in it too.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# E.g. an index of your own.
ARG PIP_OPTIONS=""
COPY dist/*.whl /wheels/
# Ours are named by their files, so that no index can put others in their place.
RUN python -m venv --without-pip /opt/rrq && python -m pip --python /opt/rrq/bin/python install --no-cache-dir ${PIP_OPTIONS} \
    /wheels/rrq_protocol-*.whl /wheels/rrq_orchestrator-*.whl /wheels/rrq_cli-*.whl

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/rrq/bin:$PATH PIP_PYTHON=/opt/rrq/bin/python PYTHONUNBUFFERED=1
COPY --from=build /opt/rrq /opt/rrq
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["rrq"]
