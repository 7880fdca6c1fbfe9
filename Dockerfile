# The program and nothing else:
#   docker run --rm -v "$PWD:/work:ro" dfmigrate
FROM rust:1-alpine3.23 AS build
RUN apk add --no-cache ca-certificates musl-dev
WORKDIR /src
COPY . .
RUN cargo install --locked --path . --root /out
RUN packaging/share /out/bin/dfmigrate /out/share

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/bin /usr/bin
COPY --from=build /out/share /usr/share
WORKDIR /work
ENTRYPOINT ["/usr/bin/dfmigrate"]
