package main

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// place is where in a topic to start: the values of --from.
type place struct {
	latest   bool
	earliest bool
	millis   int64 // a time, if offset is -1
	offset   int64
}

// parsePlace reads earliest, latest, an offset, or an RFC 3339 time. flag names the flag in errors.
func parsePlace(flag, text string) (place, error) {
	switch text {
	case "earliest":
		return place{earliest: true}, nil
	case "latest":
		return place{latest: true}, nil
	}
	if offset, err := strconv.ParseInt(text, 10, 64); err == nil {
		if offset < 0 {
			return place{}, usagef("%s %s: offsets start at 0", flag, text)
		}
		return place{offset: offset}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return place{}, usagef("%s %q is none of earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z", flag, text)
	}
	return place{offset: -1, millis: at.UnixMilli()}, nil
}

// stretch is the part of one partition that is there to be read: [start, end) now.
type stretch struct{ start, end int64 }

// stretches finds where to start in each partition, and where each ends now. An offset below the
// log start starts there, as with Kafka's auto.offset.reset=earliest.
func stretches(ctx context.Context, adm *kadm.Client, topic string, from place) (map[int32]stretch, error) {
	// The ends are asked first, so that no start lies behind its end.
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, explain(topic, err, "")
	}
	starts := ends
	switch {
	case from.latest:
	case from.offset < 0:
		starts, err = adm.ListOffsetsAfterMilli(ctx, from.millis, topic)
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
		found[partition] = stretch{max(start.Offset, from.offset), end.Offset}
	}
	return found, nil
}
