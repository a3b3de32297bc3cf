# The image of the server: its binary and the certificates of public authorities, on a plain Debian. It runs
# as a user without a name and writes only to /tmp, where exports are kept until they are sent, so the rest of its
# file system may be read-only. Mount a volume there, not a tmpfs that is larger than the memory to spare. It is for
# production unless its environment says otherwise.
#
# No layer here depends on anything but the files it copies: a cache that outlives a build could hand the code
# of another clone to this one, since cargo trusts the times of files.

# What the dependencies are compiled from: the manifests, beside targets that do nothing. The layer that
# compiles them is built again when one of these files changes, and not when the project's code does.
FROM docker.io/library/debian:bookworm-slim AS manifests
WORKDIR /src
COPY . .
RUN find . -type f -not \( -name Cargo.toml -or -name Cargo.lock -or -name build.rs \
        -or -path '*/src/lib.rs' -or -path '*/src/main.rs' -or -path '*/benches/*.rs' \) -delete \
    && find . -type d -empty -delete \
    && find . -name '*.rs' -exec sh -c 'for file; do echo "fn main() { }" >"$file"; done' sh {} +

FROM docker.io/library/rust:1.95.0-bookworm AS build
# `release`, or `image-dev`, which compiles faster and runs slower.
ARG PROFILE=release
WORKDIR /src
# The toolchain that rust-toolchain.toml names; the components that it adds are not needed here.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
COPY --from=manifests /src .
# Without the embedded Postgres, which is for machines that have none. What was made of the targets that do
# nothing is removed, or cargo might find it newer than the code.
RUN cargo build --profile "$PROFILE" --locked --package reference-server --no-default-features \
    && cargo clean --profile "$PROFILE" --locked --workspace
COPY . .
RUN cargo build --profile "$PROFILE" --locked --package reference-server --no-default-features \
    && install -D --mode=755 --strip "target/$PROFILE/mt-server" /out/mt-server

FROM docker.io/library/debian:bookworm-slim
# The modes are said, since those of a checkout depend on its user's umask.
COPY --from=build --chmod=644 /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=755 ops/image/ready /usr/local/bin/ready
COPY --from=build --chmod=755 /out/mt-server /usr/local/bin/mt-server
# On all addresses of its own network. Its publisher decides who reaches them.
ENV APP_ENV=prod APP_HOST=0.0.0.0 LOG_FORMAT=json
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["mt-server"]
CMD ["serve"]
