# The CPU is the default. The registry's PyTorch brings CUDA all the same; docs/install.md says how to
# build without it.
#
#   docker build -t spared-bench .
#   docker run --rm -v "$PWD:/workspace" spared-bench run --all --suite demo
#   docker build --build-arg DEVICE=cuda -t spared-bench-cuda .
#   docker run --rm --gpus all -v "$PWD:/workspace" spared-bench-cuda run -d my_tumours
FROM python:3.11-slim

ARG DEVICE=cpu
ARG CPU_WHEELS=

COPY constraints.txt /src/
# Before the code, so that an edit of the code does not fetch PyTorch again.
RUN case "$DEVICE" in \
      cpu) pip install --no-cache-dir -c /src/constraints.txt ${CPU_WHEELS:+--extra-index-url "$CPU_WHEELS"} torch torchvision ;; \
      cuda) pip install --no-cache-dir -c /src/constraints.txt torch torchvision ;; \
      *) echo "DEVICE is cpu or cuda, not '$DEVICE'" >&2; exit 2 ;; \
    esac

COPY pyproject.toml README.md LICENSE /src/
COPY spared_bench /src/spared_bench
COPY plugins /src/plugins
RUN pip install --no-cache-dir -c /src/constraints.txt /src && spared-bench list datasets > /dev/null

# Results go to the folder that is mounted, whoever the container runs as.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba
WORKDIR /workspace
ENTRYPOINT ["spared-bench"]
CMD ["--help"]
