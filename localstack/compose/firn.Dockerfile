FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /firn ./cmd/firn

FROM alpine:3.22
COPY --from=build /firn /usr/local/bin/firn
USER nobody
ENTRYPOINT ["firn", "serve"]
