# syntax=docker.io/docker/dockerfile:1

# The image of the server: its binary and the certificates of public authorities, on a plain Debian. It runs
# as nobody in particular and writes nowhere, so its file system may be read-only.

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
# The image has the version that rust-toolchain.toml names; its components are for working on the code.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
COPY . .
# Crates and what was compiled of them outlive a build, so that a change here compiles this alone.
# Postgres inside the process is for machines that have none.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package reference-server --no-default-features \
    && install -D --strip target/release/mt-server /out/mt-server

FROM docker.io/library/debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=755 ops/image/ready /usr/local/bin/ready
COPY --from=build /out/mt-server /usr/local/bin/mt-server
# Inside its own network; who reaches it from outside is for whoever publishes the port.
ENV APP_HOST=0.0.0.0 LOG_FORMAT=json
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["mt-server"]
CMD ["serve"]
