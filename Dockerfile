# A runnable laboratory; docs/deploy.md says how to use it.
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 laboratory \
    && install --directory --owner laboratory --group laboratory /laboratory
USER 1000
WORKDIR /laboratory

# What is installed follows from these alone, so a change of the code installs nothing again.
COPY --chown=laboratory Makefile pyproject.toml requirements.lock README.md LICENSE ./
RUN mkdir --parents src/pamdp && touch src/pamdp/__init__.py && make install

COPY --chown=laboratory . .
ENV PATH=/laboratory/.venv/bin:$PATH TF_CPP_MIN_LOG_LEVEL=3 DO_NOT_TRACK=1 \
    DVC_NO_ANALYTICS=true MLFLOW_DISABLE_TELEMETRY=true
CMD ["make", "study"]
