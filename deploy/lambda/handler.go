package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"firn.dev/ingest"
	"firn.dev/rest"
)

// handler handles every event that the function is handed.
type handler struct {
	writer *ingest.Direct
	topic  string
	key    keyKind
	http   http.Handler
	logger *slog.Logger
}

func newHandler(writer *ingest.Direct, topic string, key keyKind, logger *slog.Logger) *handler {
	return &handler{writer: writer, topic: topic, key: key, logger: logger,
		http: rest.Direct(writer, rest.Limits{}, logger)}
}

// keyKind is what becomes the key of a record.
type keyKind string

const (
	keySource keyKind = "source"
	keyID     keyKind = "id"
	keyNone   keyKind = "none"
)

func parseKey(text string) (keyKind, error) {
	switch k := keyKind(text); k {
	case "":
		return keySource, nil
	case keySource, keyID, keyNone:
		return k, nil
	}
	return "", fmt.Errorf("FIRN_KEY is %q; give %q, %q or %q", text, keySource, keyID, keyNone)
}

// grace is how long before its deadline an invocation gives up, so that the answer says why.
const grace = 200 * time.Millisecond

// shape is what tells the events apart. Names are matched without regard to case: SNS writes some
// of them large.
type shape struct {
	Records []struct {
		EventSource string `json:"eventSource"`
	} `json:"Records"`
	RequestContext json.RawMessage `json:"requestContext"`
	DetailType     *string         `json:"detail-type"`
	Event          string          `json:"Event"` // s3:TestEvent, when notifications are set up
}

// handle handles one event.
func (h *handler) handle(ctx context.Context, event json.RawMessage) (any, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-grace))
		defer cancel()
	}
	var s shape
	if err := json.Unmarshal(event, &s); err != nil {
		return nil, fmt.Errorf("the event is not understood: %w", err)
	}
	source := ""
	if len(s.Records) > 0 {
		source = s.Records[0].EventSource
	}
	switch {
	case s.RequestContext != nil:
		return h.request(ctx, event)
	case source == "aws:sqs":
		return h.partly(ctx, event, sqsMessages)
	case source == "aws:kinesis":
		return h.partly(ctx, event, kinesisMessages)
	case source == "aws:sns":
		return nil, h.wholly(ctx, event, snsMessages)
	case strings.HasSuffix(source, ":s3"):
		return nil, h.wholly(ctx, event, s3Messages)
	case s.DetailType != nil:
		return nil, h.wholly(ctx, event, eventBridgeMessages)
	case s.Event == "s3:TestEvent":
		return nil, nil
	}
	return nil, errors.New("the event is of no source that this function knows: Function URL, API Gateway, SQS, SNS, " +
		"S3, EventBridge, Kinesis")
}

// message is one message of an event.
type message struct {
	id     string // unlike that of any other message of its source
	source string // what may become the key; empty: nothing
	item   string // by which the event source knows it, in the list of what failed
	group  string // whose order has to be kept; empty: none
	value  []byte
	time   time.Time
}

// write writes messages and returns the outcome of each.
func (h *handler) write(ctx context.Context, messages []message) ([]ingest.Outcome, error) {
	requests := make([]ingest.Request, len(messages))
	for i, m := range messages {
		r := ingest.Record{Partition: -1, Value: m.value, Timestamp: -1}
		switch {
		case h.key == keyID:
			r.Key = []byte(m.id)
		case h.key == keySource && m.source != "":
			r.Key = []byte(m.source)
		}
		if !m.time.IsZero() {
			r.Timestamp = m.time.UnixMilli()
		}
		requests[i] = ingest.Request{Records: []ingest.Record{r}, Key: m.id, Group: m.group}
	}
	return h.writer.WriteAll(ctx, h.topic, requests)
}

// failures is the answer to SQS and Kinesis: which messages are to be handed over again.
type failures struct {
	Items []failure `json:"batchItemFailures"`
}

type failure struct {
	Item string `json:"itemIdentifier"`
}

// partly handles an event whose source hands single messages over again.
func (h *handler) partly(ctx context.Context, event json.RawMessage,
	parse func(json.RawMessage) ([]message, error)) (any, error) {
	messages, err := parse(event)
	if err != nil {
		return nil, err
	}
	outcomes, err := h.write(ctx, messages)
	if err != nil {
		return nil, err // all are handed over again
	}
	answer := failures{Items: []failure{}}
	for i, o := range outcomes {
		if o.Err != nil {
			h.logger.Error("a message was not written", "id", messages[i].id, "error", o.Err)
			answer.Items = append(answer.Items, failure{messages[i].item})
		}
	}
	return answer, nil
}

// wholly handles an event whose source hands it over again as a whole. What was written of it is
// not written again then.
func (h *handler) wholly(ctx context.Context, event json.RawMessage,
	parse func(json.RawMessage) ([]message, error)) error {
	messages, err := parse(event)
	if err != nil {
		return err
	}
	outcomes, err := h.write(ctx, messages)
	for _, o := range outcomes {
		err = errors.Join(err, o.Err)
	}
	return err
}
