# Two images: `docker build --target operator .` and `docker build --target crm-service .`
# The final stages hold one static binary (the operator's: and CA certificates) and nothing else: no shell, no library, no user but a number.
ARG VERSION=dev

FROM rust:1.95 AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    target="$(uname -m)-unknown-linux-musl" && rustup target add "$target" && \
    cargo build --locked --release --target "$target" --package crm-operator --package crm-service && \
    cp "target/$target/release/crm-operator" "target/$target/release/crm-service" /

FROM scratch AS operator
ARG VERSION
LABEL org.opencontainers.image.title="crm-operator" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"
# For registries that speak https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /crm-operator /crm-operator
USER 65532:65532
ENTRYPOINT ["/crm-operator"]

FROM scratch AS crm-service
ARG VERSION
LABEL org.opencontainers.image.title="crm-service" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /crm-service /crm-service
USER 65532:65532
ENTRYPOINT ["/crm-service"]
