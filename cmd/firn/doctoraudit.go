package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"firn.dev/coordinator"
)

// auditBucket says of each object in the bucket why it is there: the reason, the size, the key and
// more for people, one object a line, and a summary. It writes nothing into the bucket, and needs
// neither node nor coordinator.
func auditBucket(ctx context.Context, s streams, o *serveOptions) (err error) {
	b, err := openStoreToRead(ctx, o.store)
	if err != nil {
		return err
	}
	defer b.Close()
	out := bufio.NewWriterSize(s.Out, 64<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	report, err := coordinator.Audit(ctx, b, coordinator.AuditOptions{
		CommitDeadline: o.commitDeadline, Grace: o.gcGrace,
		Object: func(a coordinator.AuditObject) error {
			_, err := fmt.Fprintf(out, "%-11s  %12d  %s  %s\n", a.Reason, a.Size, a.Key, a.Detail)
			return err
		},
	})
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return fmt.Errorf("auditing %s: %w", b.Location, err)
	}
	return summarize(out, report)
}

// summarize ends an audit. Its error says that the bucket is not as it should be.
func summarize(out *bufio.Writer, r coordinator.AuditReport) error {
	total := coordinator.Tally{}
	fmt.Fprintf(out, "\n%-11s  %8s  %s\n", "", "objects", "bytes")
	reasons := slices.SortedFunc(maps.Keys(r.Tallies), func(a, b coordinator.Reason) int { return cmp.Compare(a, b) })
	for _, reason := range reasons {
		t := r.Tallies[reason]
		fmt.Fprintf(out, "%-11s  %8d  %d\n", reason, t.Objects, t.Bytes)
		if reason != coordinator.Missing {
			total = coordinator.Tally{Objects: total.Objects + t.Objects, Bytes: total.Bytes + t.Bytes}
		}
	}
	leaked, missing := r.Tallies[coordinator.Leaked].Objects, r.Tallies[coordinator.Missing].Objects
	fmt.Fprintf(out, "%-11s  %8d  %d\n\n", "in all", total.Objects, total.Bytes)
	if r.Incarnation == 0 {
		fmt.Fprintf(out, "the bucket holds no cluster\n")
	} else {
		fmt.Fprintf(out, "by the state of incarnation %d\n", r.Incarnation)
	}
	fmt.Fprintf(out, "leaked: %d, missing: %d\n", leaked, missing)
	if r.Incarnation == 0 {
		return errors.New("there is no cluster to audit: name its bucket, with its prefix, with --store")
	}
	if err := tellDoubts(out, r.Doubts, len(r.Doubts)); err != nil {
		return err
	}
	if leaked > 0 || missing > 0 {
		return fmt.Errorf("%d objects are leaked, %d are missing", leaked, missing)
	}
	return nil
}

// tellDoubts names what is in doubt, the first so many. Its error says what to do.
func tellDoubts(out io.Writer, doubts []coordinator.Doubt, most int) error {
	records := int64(0)
	for i := range doubts {
		records += doubts[i].Records()
		if i < most {
			fmt.Fprintf(out, "in doubt: %s\n", &doubts[i])
		}
	}
	if len(doubts) == 0 {
		return nil
	}
	return fmt.Errorf("%d records in %d spans are in doubt: an incarnation was opened twice, and they contradict other "+
		"records, so no reader gets them; 'firn inspect' shows them in their segments, "+
		"which are kept until 'firn recover --forget-doubts'", records, len(doubts))
}
