// Lambda is a function for AWS Lambda that appends what it is handed to a topic, without any Firn
// server: requests to a Function URL or an API Gateway (the bodies of POST
// /v1/topics/{topic}/records), and events of SQS, SNS, S3, EventBridge and Kinesis. It answers once
// the records are durable, and writes each message once, however often it is handed over: its id is
// the idempotency key.
//
// It is configured by its environment:
//
//	FIRN_STORE        the bucket: s3://BUCKET/PREFIX, minio://HOST:PORT/BUCKET/PREFIX or file:///DIR
//	FIRN_COORDINATOR  redis://HOST:PORT or rediss://HOST:PORT, as the nodes of the cluster have it
//	FIRN_TOPIC        the topic
//	FIRN_KEY          keys of records that come from events: "source" (the default: SQS message
//	                  group, Kinesis partition key, S3 bucket and key, SNS topic, EventBridge
//	                  source), "id" (of the message) or "none"
//
// SQS and Kinesis need ReportBatchItemFailures in their event source mappings. A message that its
// topic does not take (too large, say) fails each time and belongs into a dead letter queue; in a
// FIFO queue and in a Kinesis shard what is behind it waits.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"firn.dev/coordinator/redis"
	"firn.dev/ingest"
	"firn.dev/segments/stores"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	h, err := open(context.Background(), logger)
	if err != nil {
		logger.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(h.handle)
}

// open makes the handler that the environment describes. It is used for all invocations that the
// process lives to see.
func open(ctx context.Context, logger *slog.Logger) (*handler, error) {
	env := map[string]string{}
	for _, name := range []string{"FIRN_STORE", "FIRN_COORDINATOR", "FIRN_TOPIC"} {
		if env[name] = os.Getenv(name); env[name] == "" {
			return nil, fmt.Errorf("%s is not set", name)
		}
	}
	key, err := parseKey(os.Getenv("FIRN_KEY"))
	if err != nil {
		return nil, err
	}
	at, err := stores.Parse(env["FIRN_STORE"])
	if err != nil {
		return nil, fmt.Errorf("FIRN_STORE: %w", err)
	}
	store, err := at.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("FIRN_STORE: %w", err)
	}
	options, err := redis.ParseURL(env["FIRN_COORDINATOR"])
	if err != nil {
		return nil, fmt.Errorf("FIRN_COORDINATOR: %w", err)
	}
	options.Logger = logger
	coordinator, err := redis.New(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("FIRN_COORDINATOR: %w", err)
	}
	writer, err := ingest.OpenDirect(ctx, ingest.DirectOptions{Store: store, Coordinator: coordinator, Logger: logger,
		Who: "function " + os.Getenv("AWS_LAMBDA_FUNCTION_NAME")})
	if err != nil {
		return nil, err
	}
	return newHandler(writer, env["FIRN_TOPIC"], key, logger), nil
}
