package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// batch is the next records of a partition, in their order, as Firn's HTTP has them: offset,
// timestamp, key, value and headers.
type batch struct {
	group, topic string
	partition    int32
	records      []json.RawMessage
}

// work does with records what the function is for. They are committed when it returns no error;
// otherwise they come again, with the next invocation. They also come again when the function dies
// before they are committed: topic, partition and offset say which ones have been here before.
type work func(ctx context.Context, b batch) error

// transform makes of the records of a partition what is written to other topics, in one transaction
// with the offset behind them: so each is worked on exactly once, wherever the function dies.
type transform func(b batch) ([]output, error)

// output is a record as Firn's HTTP takes it.
type output struct {
	Topic   string          `json:"topic"`
	Key     json.RawMessage `json:"key,omitempty"`
	Value   json.RawMessage `json:"value"`
	Headers json.RawMessage `json:"headers,omitempty"`
}

// copyTo copies records to topics.
func copyTo(topics []string) transform {
	return func(b batch) (all []output, err error) {
		for _, r := range b.records {
			var o output
			if err := json.Unmarshal(r, &o); err != nil {
				return nil, err
			}
			for _, o.Topic = range topics {
				all = append(all, o)
			}
		}
		return all, nil
	}
}

// sendTo sends records to a URL, one on each line, and wants a 2xx for them.
func sendTo(url string) work {
	return func(ctx context.Context, b batch) error {
		var body bytes.Buffer
		for _, r := range b.records {
			body.Write(r)
			body.WriteByte('\n')
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &body)
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-ndjson")
		r.Header.Set("Firn-Group", b.group)
		r.Header.Set("Firn-Topic", b.topic)
		r.Header.Set("Firn-Partition", strconv.Itoa(int(b.partition)))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			said, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
			return fmt.Errorf("%s answers %s: %s", url, resp.Status, said)
		}
		return nil
	}
}
