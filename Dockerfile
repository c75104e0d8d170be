# syntax=docker/dockerfile:1

# Millrace as one small image. Build it with BuildKit (the default of Docker since version 23):
#     docker build -t millrace .
# The two cache mounts keep downloaded crates and compiled dependencies between builds.

FROM node:22-bookworm-slim AS playground

WORKDIR /playground
COPY playground .
RUN npm ci --no-audit --no-fund && npm run build


FROM rust:1.95.0-bookworm AS build

# The image's own toolchain: rust-toolchain.toml would also fetch rustfmt and clippy, which a build does not need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
COPY --from=playground /playground/dist playground/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package app --bin millrace \
    && install -D target/release/millrace /out/millrace


FROM debian:bookworm-slim AS runtime

# The roots for TLS to a broker or a database; taken from the build image so that nothing is installed here.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/millrace /usr/local/bin/millrace
COPY examples/chinook/events.ndjson /usr/share/millrace/chinook.ndjson

# A numeric user, so that Kubernetes can check that it is not root. A new volume takes over this owner.
RUN install -d -o 10001 -g 10001 /var/lib/millrace
USER 10001:10001
WORKDIR /var/lib/millrace
ENV DATA_DIR=/var/lib/millrace

EXPOSE 8080 8090 2112

# The health checks stand in docker-compose.yml: each role is ready on another port.
ENTRYPOINT ["millrace"]
