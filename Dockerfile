# syntax=docker/dockerfile:1
# Two stages: the first installs the hashed lock, the second holds only what runs.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/sextant
COPY requirements.lock /tmp/requirements.lock
RUN /opt/sextant/bin/pip install --require-hashes --only-binary=:all: -r /tmp/requirements.lock

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Sextant" org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/sextant/bin:$PATH \
    PYTHONPATH=/srv/sextant \
    PYTHONUNBUFFERED=1 \
    SEXTANT_SERVER__HOST=0.0.0.0 \
    SEXTANT_DATABASE__URL=sqlite:////var/lib/sextant/sextant.db
RUN groupadd --gid 10001 sextant \
 && useradd --uid 10001 --gid sextant --home-dir /var/lib/sextant --no-create-home --shell /usr/sbin/nologin sextant \
 && install --directory --owner sextant --group sextant /var/lib/sextant \
 && printf '#!/bin/sh\nexec python -m app.cli "$@"\n' > /usr/local/bin/sextant \
 && chmod 0755 /usr/local/bin/sextant
COPY --from=build /opt/sextant /opt/sextant
WORKDIR /srv/sextant
COPY LICENSE ./
COPY alembic ./alembic
COPY app ./app
RUN python -m compileall -q app
USER 10001:10001
WORKDIR /var/lib/sextant
VOLUME /var/lib/sextant
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import sys, urllib.request as r; sys.exit(r.urlopen('http://127.0.0.1:8000/livez', timeout=2).status != 200)"]
ENTRYPOINT ["sextant"]
CMD ["serve"]
