# The server and, for a trial, the simulated town. Built from the top of the repository:
#   docker build -f deploy/server.Dockerfile -t mimamori .
FROM python:3.13-slim-bookworm
ENV PYTHONUNBUFFERED=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy PATH=/app/.venv/bin:$PATH
WORKDIR /app
RUN pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml uv.lock hatch_build.py README.md LICENSE ./
COPY wire wire
COPY privacy privacy
COPY edge edge
COPY mobile_detector mobile_detector
COPY firmware_sim firmware_sim
COPY server server
# Node.js for the web app comes out of a wheel, into a throw-away build environment.
RUN uv sync --frozen --no-dev --no-editable --extra server --extra sim && rm -rf /root/.cache server/web/node_modules
RUN useradd --uid 1000 --create-home mimamori && mkdir /state /door && chown mimamori /state /door
USER mimamori
VOLUME /state
VOLUME /door
ENTRYPOINT ["mimamori"]
CMD ["--help"]
