# An orchestrator, with all that runs Python handlers in it. Your handlers come on top:
#
#   make wheels
#   docker build -f deploy/docker/orchestrator.Dockerfile -t rrq-orchestrator .
#
#   FROM rrq-orchestrator
#   USER root
#   RUN pip install pillow
#   USER 10001
#   COPY --chown=10001 shop /app/shop
#
# Settings: mount rrq.toml to /app/rrq.toml (or elsewhere, and name it by RRQ_CONFIG), or set RRQ_* variables. The password of Redis is a mounted file that
# redis_dsn_file names. Let the engine wait for its end: docker run --stop-timeout 45.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# E.g. an index of your own.
ARG PIP_OPTIONS=""
COPY dist/*.whl /wheels/
# Ours are named by their files, so that no index can put others in their place.
RUN python -m venv --without-pip /opt/rrq && python -m pip --python /opt/rrq/bin/python install --no-cache-dir ${PIP_OPTIONS} \
    /wheels/rrq_protocol-*.whl /wheels/rrq_orchestrator-*.whl /wheels/rrq_runner-*.whl /wheels/rrq_cli-*.whl

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/rrq/bin:$PATH PIP_PYTHON=/opt/rrq/bin/python PYTHONUNBUFFERED=1
COPY --from=build /opt/rrq /opt/rrq
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
# The whole way: Redis answers, an orchestrator lives, its runners take jobs.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s CMD ["rrq", "check"]
ENTRYPOINT ["rrq-orchestrator", "--log-format", "json"]
