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

// stretch is the part of one partition that is to be read: [start, end) of what is there now, which
// ends at newest. For a reader of committed records it ends at the last stable offset.
type stretch struct{ start, end, newest int64 }

// tails are the stretches of a topic that exists, from a place to the newest offset.
func tails(ctx context.Context, adm *kadm.Client, topic string, from index.Place) (map[int32]stretch, error) {
	if _, err := lookUp(ctx, adm, topic); err != nil {
		return nil, err
	}
	return stretches(ctx, adm, topic, from, index.Latest, false)
}

// stretches finds where to start in each partition, and where to end, which is not behind where it
// ends now, or with committed where the last stable offset is now. An offset below the log start
// starts there, as with Kafka's auto.offset.reset=earliest.
func stretches(ctx context.Context, adm *kadm.Client, topic string, from, to index.Place,
	committed bool) (map[int32]stretch, error) {
	// The ends are asked first, so that no start lies behind its end.
	newest, err := adm.ListEndOffsets(ctx, topic)
	ends := newest
	if err == nil && committed {
		ends, err = adm.ListCommittedOffsets(ctx, topic)
	}
	if err != nil {
		return nil, explain(topic, err, "")
	}
	starts, err := listPlace(ctx, adm, topic, from, ends)
	if err != nil {
		return nil, explain(topic, err, "")
	}
	stops, err := listPlace(ctx, adm, topic, to, ends)
	if err != nil {
		return nil, explain(topic, err, "")
	}
	offset, _ := from.Offset()
	stop, stopsAtOffset := to.Offset()
	found := map[int32]stretch{}
	for partition, last := range ends[topic] {
		start, end, newest := starts[topic][partition], stops[topic][partition], newest[topic][partition]
		for _, listed := range []kadm.ListedOffset{start, end, last, newest} {
			if err := explain(topic, listed.Err, ""); err != nil {
				return nil, err
			}
		}
		if stopsAtOffset {
			end.Offset = stop
		}
		found[partition] = stretch{max(start.Offset, offset), min(end.Offset, last.Offset), max(last.Offset, newest.Offset)}
	}
	return found, nil
}

// listPlace asks where a place is in each partition. For an offset that is the log start.
func listPlace(ctx context.Context, adm *kadm.Client, topic string, place index.Place,
	ends kadm.ListedOffsets) (kadm.ListedOffsets, error) {
	if place == index.Latest {
		return ends, nil
	}
	if millis, byTime := place.Millis(); byTime {
		return adm.ListOffsetsAfterMilli(ctx, millis, topic)
	}
	return adm.ListStartOffsets(ctx, topic)
}
