# An image from a project's conda.yaml, all of it made by micromamba. As context `trainer run` passes that program,
# project/: trainer-environment.yaml with the files that it names, and site/: what Python reads at every start.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE}
USER 0:0
SHELL ["/bin/sh", "-eu", "-c"]

# The caches live on a volume mounted here, written by whatever user a run has.
RUN id trainer >/dev/null 2>&1 || useradd --uid 1000 --user-group --create-home trainer; \
    install -d -m 1777 /cache

ENV CONDA_PREFIX=/opt/environment \
    PATH=/opt/environment/bin:$PATH \
    PYTHONUNBUFFERED=1

WORKDIR /tmp/project
RUN --mount=type=bind,source=micromamba,target=/tmp/micromamba \
    --mount=type=bind,source=project,target=/tmp/project \
    --mount=type=cache,target=/var/cache/micromamba \
    MAMBA_ROOT_PREFIX=/var/cache/micromamba /tmp/micromamba create --yes --quiet \
      --prefix /opt/environment --file trainer-environment.yaml

# An environment of R alone has no Python.
RUN --mount=type=bind,source=site,target=/tmp/site \
    if [ -x /opt/environment/bin/python ]; then \
      install -m 644 /tmp/site/* "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"; \
    fi

USER 1000:1000
WORKDIR /home/trainer
CMD ["python"]
