package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
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
func auditBucket(ctx context.Context, s streams, o *serveOptions, form outputForm) (err error) {
	b, err := openStoreToRead(ctx, o.store)
	if err != nil {
		return err
	}
	defer b.Close()
	out := bufio.NewWriterSize(s.Out, 64<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	listed := auditList{form: form, w: out}
	report, err := coordinator.Audit(ctx, b, coordinator.AuditOptions{
		CommitDeadline: o.commitDeadline, Grace: o.gcGrace,
		Object: listed.add,
	})
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return fmt.Errorf("auditing %s: %w", b.Location, err)
	}
	if form != asTable {
		return errors.Join(listed.end(report), auditVerdict(report))
	}
	return summarize(out, report)
}

// auditedObject is an object as it is printed.
type auditedObject struct {
	Reason coordinator.Reason `json:"reason"`
	Bytes  int64              `json:"bytes"`
	Key    string             `json:"key"`
	Detail string             `json:"detail"`
}

// auditSummary is the end of an audit as it is printed.
type auditSummary struct {
	Incarnation coordinator.Incarnation   `json:"incarnation"` // 0: the bucket holds no cluster
	Reasons     map[string]auditedObjects `json:"reasons"`
	Doubts      []string                  `json:"doubts"`
}

type auditedObjects struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// auditList writes objects as they come, for there may be millions.
type auditList struct {
	form  outputForm
	w     io.Writer
	begun bool
}

func (l *auditList) add(a coordinator.AuditObject) error {
	if l.form == asTable {
		_, err := fmt.Fprintf(l.w, "%-11s  %12d  %s  %s\n", a.Reason, a.Size, a.Key, a.Detail)
		return err
	}
	object, err := json.Marshal(auditedObject{a.Reason, a.Size, a.Key, a.Detail})
	if err != nil {
		return err
	}
	first, next := "{\"objects\": [\n", ",\n"
	if l.form == asYAML { // where an element may be JSON
		first, next = "objects:\n- ", "\n- "
	}
	if !l.begun {
		next, l.begun = first, true
	}
	_, err = fmt.Fprintf(l.w, "%s%s", next, escapeForYAML(object))
	return err
}

// end writes the summary behind the objects.
func (l *auditList) end(r coordinator.AuditReport) error {
	found := auditSummary{Incarnation: r.Incarnation, Reasons: map[string]auditedObjects{}, Doubts: []string{}}
	for reason, t := range r.Tallies {
		found.Reasons[string(reason)] = auditedObjects(t)
	}
	for i := range r.Doubts {
		found.Doubts = append(found.Doubts, r.Doubts[i].String())
	}
	summary, err := json.Marshal(found)
	if err != nil {
		return err
	}
	summary = escapeForYAML(summary)
	switch {
	case l.form == asYAML && l.begun:
		_, err = fmt.Fprintf(l.w, "\nsummary: %s\n", summary)
	case l.form == asYAML:
		_, err = fmt.Fprintf(l.w, "objects: []\nsummary: %s\n", summary)
	case l.begun:
		_, err = fmt.Fprintf(l.w, "],\n\"summary\": %s}\n", summary)
	default:
		_, err = fmt.Fprintf(l.w, "{\"objects\": [],\n\"summary\": %s}\n", summary)
	}
	return err
}

// auditVerdict is an error if the bucket is not as it should be.
func auditVerdict(r coordinator.AuditReport) error {
	leaked, missing := r.Tallies[coordinator.Leaked].Objects, r.Tallies[coordinator.Missing].Objects
	if r.Incarnation == 0 {
		return errors.New("there is no cluster to audit: name its bucket, with its prefix, with --store")
	}
	if err := tellDoubts(io.Discard, r.Doubts, 0); err != nil {
		return err
	}
	if leaked > 0 || missing > 0 {
		return fmt.Errorf("%d objects are leaked, %d are missing", leaked, missing)
	}
	return nil
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
	_ = tellDoubts(out, r.Doubts, len(r.Doubts)) // auditVerdict returns what it does
	return auditVerdict(r)
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
