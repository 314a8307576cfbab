# MinIO publishes no images any more, so this builds the version that `make stack` has. It takes minutes, once.
FROM golang:1.26-alpine AS build
RUN CGO_ENABLED=0 go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

FROM alpine:3.22
COPY --from=build /go/bin/minio /usr/local/bin/minio
# A directory of its drive is a bucket.
CMD ["sh", "-c", "mkdir -p /data/firn && exec minio server --address :9000 /data"]
