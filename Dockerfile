# All programs of tfadv, for training on NVIDIA GPUs:
#
#   docker build --tag tfadv .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/work" tfadv \
#     train --method kohl_hybrid --records records/decathlon
#
# --build-arg REQUIREMENTS=requirements.txt leaves CUDA out, for machines without a GPU.
FROM python:3.12-slim-bookworm

ARG REQUIREMENTS=requirements-gpu.txt
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /opt/tfadv
COPY requirements.txt requirements-gpu.txt ./
RUN pip install --requirement "$REQUIREMENTS"
COPY pyproject.toml README.md LICENSE ./
COPY tfadv tfadv
COPY tfrecords tfrecords
# Nothing but what the requirements pin.
RUN pip install --no-deps .

# Matplotlib keeps its fonts there, whoever the user is.
ENV MPLCONFIGDIR=/tmp/matplotlib
RUN useradd --create-home --uid 1000 tfadv
USER 1000
WORKDIR /work
ENTRYPOINT ["tfadv"]
