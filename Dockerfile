# syntax=docker/dockerfile:1

# Builds Millrace as one small image. Needs BuildKit, which is the default since Docker 23:
#     docker build -t millrace .
# Two cache mounts keep downloaded crates and compiled dependencies between builds.

FROM node:22-bookworm-slim AS playground

WORKDIR /playground
COPY playground .
RUN npm ci --no-audit --no-fund && npm run build


FROM rust:1.95.0-bookworm AS build

# Use the toolchain of the image: rust-toolchain.toml would also download rustfmt and clippy.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
COPY --from=playground /playground/dist playground/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package millrace --bin millrace \
    && install -D target/release/millrace /out/millrace


FROM debian:bookworm-slim AS runtime

# Root certificates for TLS to brokers and databases, copied from the build image so that nothing is installed here.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/millrace /usr/local/bin/millrace
COPY examples/chinook/events.ndjson /usr/share/millrace/chinook.ndjson

# A numeric user, so that Kubernetes can verify that it is not root. A new volume inherits this owner.
RUN install -d -o 10001 -g 10001 /var/lib/millrace
USER 10001:10001
WORKDIR /var/lib/millrace
ENV DATA_DIR=/var/lib/millrace

# Read side, commands, admin port of the projector, metrics.
EXPOSE 8080 8090 8091 2112

# Health checks are in docker-compose.yml, because the port depends on the role.
ENTRYPOINT ["millrace"]
