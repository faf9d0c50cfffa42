# fastgate in a container: docs/operations.md says how to run it. `make image-replay` carries these steps out without Docker.

FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
RUN python3 -m venv /opt/fastgate
WORKDIR /src
COPY pyproject.toml setup.py MANIFEST.in README.md CHANGELOG.md LICENSE ./
COPY fastgate fastgate
RUN /opt/fastgate/bin/python -m pip wheel --disable-pip-version-check --no-cache-dir --no-deps --wheel-dir /wheels .
RUN /opt/fastgate/bin/python -m pip install --disable-pip-version-check --no-cache-dir "$(echo /wheels/*.whl)[postgres]"

# The same, and what the semantic cache needs.
FROM build AS build-semantic
RUN apt-get install -y --no-install-recommends g++
# hnswlib compiles for the processor that it is built on unless told otherwise: the image runs elsewhere.
ENV HNSWLIB_NO_NATIVE=1
RUN /opt/fastgate/bin/python -m pip install --disable-pip-version-check --no-cache-dir "$(echo /wheels/*.whl)[semantic-onnx]"

FROM python:3.11-slim-bookworm AS bare
# The number is for Kubernetes, which can tell from it alone that this is not root.
RUN groupadd --gid 10001 fastgate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fastgate --shell /usr/sbin/nologin fastgate \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/fastgate
# Nothing outside the container reaches its loopback address. The admin API stays there until told otherwise.
ENV PATH=/opt/fastgate/bin:$PATH \
    FASTGATE_HOST=0.0.0.0 \
    FASTGATE_STATE_DIR=/var/lib/fastgate
# A fastgate.yaml that is mounted here is found.
WORKDIR /etc/fastgate
VOLUME /var/lib/fastgate
EXPOSE 8080 8081
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-P", "-m", "fastgate.supervisor.probe"]
# No init in front: the supervisor reaps its children, which start none of their own, and ends in order on SIGTERM.
ENTRYPOINT ["fastgate"]
CMD ["serve"]

# docker build --target semantic -t fastgate:semantic .
FROM bare AS semantic
COPY --from=build-semantic /opt/fastgate /opt/fastgate

# docker build -t fastgate .
FROM bare
COPY --from=build /opt/fastgate /opt/fastgate
