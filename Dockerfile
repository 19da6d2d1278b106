# av1part on bare Debian: `docker build -t av1part .`, then `docker run --rm av1part make demo` or `make test`.
FROM debian:bookworm
RUN apt-get update -q && apt-get install -y -q --no-install-recommends make python3 python3-venv ca-certificates
WORKDIR /av1part
COPY . .
RUN make system install libaom
CMD ["make", "demo"]
