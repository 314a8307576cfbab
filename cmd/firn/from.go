package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"firn.dev/index"
)

// parsePlace reads earliest, latest, an offset, or an RFC 3339 time. flag names the flag in errors.
func parsePlace(flag, text string) (index.Place, error) {
	p, err := index.ParsePlace(text)
	if err != nil {
		return p, usagef("%s %v", flag, err)
	}
	return p, nil
}

// stretch is the part of one partition that is there to be read: [start, end) now.
type stretch struct{ start, end int64 }

// stretches finds where to start in each partition, and where each ends now. An offset below the
// log start starts there, as with Kafka's auto.offset.reset=earliest.
func stretches(ctx context.Context, adm *kadm.Client, topic string, from index.Place) (map[int32]stretch, error) {
	// The ends are asked first, so that no start lies behind its end.
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, explain(topic, err, "")
	}
	starts := ends
	offset, _ := from.Offset()
	millis, byTime := from.Millis()
	switch {
	case from == index.Latest:
	case byTime:
		starts, err = adm.ListOffsetsAfterMilli(ctx, millis, topic)
	default:
		starts, err = adm.ListStartOffsets(ctx, topic)
	}
	if err != nil {
		return nil, explain(topic, err, "")
	}
	found := map[int32]stretch{}
	for partition, end := range ends[topic] {
		start := starts[topic][partition]
		for _, listed := range []kadm.ListedOffset{start, end} {
			if err := explain(topic, listed.Err, ""); err != nil {
				return nil, err
			}
		}
		found[partition] = stretch{max(start.Offset, offset), end.Offset}
	}
	return found, nil
}
