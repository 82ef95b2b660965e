# One image for every part of StartTally; the command says which: receive, work, dashboard, db upgrade.

FROM python:3.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/build && python -m venv --without-pip /opt/starttally
COPY requirements-build.lock requirements.lock ./
RUN /opt/build/bin/pip install --require-hashes --no-deps -r requirements-build.lock
# pip and the build tools stay in this stage: they install into the other environment from outside.
RUN /opt/build/bin/pip wheel --require-hashes --no-deps --no-build-isolation --wheel-dir /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY ingest ingest
COPY dashboard dashboard
COPY migrations migrations
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/build/bin/pip --python /opt/starttally/bin/python install --no-index --no-deps /wheels/*.whl

FROM python:3.13-slim-bookworm
RUN groupadd --gid 10001 starttally \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin --home-dir /var/lib/starttally starttally \
 && install -d -o starttally -g starttally -m 0750 /var/lib/starttally /var/lib/starttally/spool
COPY --from=build /opt/starttally /opt/starttally
COPY LICENSE /usr/share/doc/starttally/LICENSE
ENV PATH=/opt/starttally/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /var/lib/starttally
USER starttally
STOPSIGNAL SIGTERM
EXPOSE 8025 8080 8501
# For the doors; docker-compose.yml says how the other parts are doing.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["starttally"]
CMD ["receive"]
