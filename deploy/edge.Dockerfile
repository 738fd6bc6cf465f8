# A gateway: wire, privacy and edge, and not one library of the server. Built from the top of the repository:
#   docker build -f deploy/edge.Dockerfile -t mimamori-edge .
# With a real adapter it needs the host's D-Bus: -v /run/dbus:/run/dbus:ro
FROM python:3.13-slim-bookworm
ENV PYTHONUNBUFFERED=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy PATH=/app/.venv/bin:$PATH PYTHONPATH=/app
WORKDIR /app
RUN pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --extra edge && rm -rf /root/.cache
COPY wire wire
COPY privacy privacy
COPY edge edge
RUN useradd --uid 1000 --create-home mimamori && mkdir /state && chown mimamori /state
USER mimamori
VOLUME /state
ENTRYPOINT ["python", "-m", "edge"]
CMD ["--help"]
