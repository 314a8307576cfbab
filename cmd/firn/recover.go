package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"firn.dev/coordinator"
	"firn.dev/segments/stores"
)

func newRecover(s streams) *cobra.Command {
	var store, where string
	var dryRun, forget bool
	var deadline time.Duration
	var form outputForm
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Rebuild Redis's state from the bucket",
		Long: "Rebuild Redis's state from the bucket, as a node does by itself when Redis has lost it. A recovery seals\n" +
			"every journal chain, so that running nodes begin a new life, and loads the bucket's state into Redis. It\n" +
			"loses nothing that was acknowledged. With --dry-run it says what a recovery would find and do, and changes\n" +
			"nothing.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := parseCoordinator(where)
			if err != nil {
				return usagef("--coordinator %w", err)
			}
			if at.redis == nil && !dryRun {
				return usagef("--coordinator embedded has nothing to recover: 'firn serve' does so each time it starts; give " +
					"redis://HOST:PORT, or --dry-run")
			}
			open := openStore
			if dryRun {
				open = openStoreToRead
			}
			b, err := open(cmd.Context(), store)
			if err != nil {
				return err
			}
			defer b.Close()
			if dryRun {
				return surveyBucket(cmd.Context(), s, b, at, deadline, form)
			}
			return recoverBucket(cmd.Context(), s, b, at, deadline, forget, form)
		},
	}
	cmd.Flags().StringVar(&store, "store", defaultStore, "`URL` of the bucket")
	cmd.Flags().StringVar(&where, "coordinator", inProcess, "`URL` of Redis")
	cmd.Flags().DurationVar(&deadline, "commit-deadline", coordinator.DefaultCommitDeadline, "as the nodes have it")
	cmd.Flags().BoolVar(&forget, "forget-doubts", false,
		"let go of records that contradict others, which you have looked at: their segments are deleted")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what a recovery would find and do, and change nothing")
	form.addFlag(cmd)
	return cmd
}

// doubtsTold is how many of what is in doubt are named.
const doubtsTold = 20

// recoverBucket recovers, and loads the state into the coordinator.
func recoverBucket(ctx context.Context, s streams, b *stores.Bucket, at coordinatorURL, deadline time.Duration,
	forget bool, form outputForm) error {
	coord, closeIt, err := at.open(ctx, deadline)
	if err != nil {
		return err
	}
	defer closeIt()
	begun := time.Now()
	host, _ := os.Hostname() // for people; it may be unknown
	state, err := coordinator.Recover(ctx, b, coordinator.RecoverOptions{
		Who:          fmt.Sprintf("firn recover on %s, process %d", host, os.Getpid()),
		Logger:       slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		ForgetDoubts: forget,
	})
	if errors.Is(err, coordinator.ErrRecoveryLost) {
		return fmt.Errorf("%w: a node is at it; look again with --dry-run in a moment", err)
	}
	if err != nil {
		return fmt.Errorf("recovering from %s: %w", b.Location, err)
	}
	err = coord.Open(ctx, state)
	if errors.Is(err, coordinator.ErrOpening) {
		if now, lost := coord.Generation(ctx); lost == nil && now == state.Generation() {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("loading incarnation %d into %s: %w; run it again: it recovers anew", state.Incarnation(), at, err)
	}
	found := recovered{Incarnation: state.Incarnation(), Coordinator: at.String(),
		held: heldBy(state.Summary(), state.Doubts())}
	err = form.printWith(s.Out, found, func(w io.Writer) error {
		fmt.Fprintf(w, "recovered   incarnation %d in %s: %s\n", state.Incarnation(), at, state.Summary())
		writeDoubts(w, state.Doubts())
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "took %s; nodes that are running go on in it by themselves\n",
		time.Since(begun).Round(time.Millisecond))
	return nil
}

// recovered is what a recovery did, as it is printed.
type recovered struct {
	Incarnation coordinator.Incarnation `json:"incarnation"`
	Coordinator string                  `json:"coordinator"`
	held
}

// held is what a state holds.
type held struct {
	Topics     int      `json:"topics"`
	Partitions int      `json:"partitions"`
	Spans      int      `json:"spans"`
	Records    int64    `json:"records"`
	Bytes      int64    `json:"bytes"`
	Doubts     []string `json:"doubts"`
}

func heldBy(sum coordinator.Summary, doubts []coordinator.Doubt) held {
	h := held{sum.Topics, sum.Partitions, sum.Spans, sum.Records, sum.Bytes, []string{}}
	for i := range doubts {
		h.Doubts = append(h.Doubts, doubts[i].String())
	}
	return h
}

// writeDoubts names the first of what is in doubt, and says what to do.
func writeDoubts(w io.Writer, doubts []coordinator.Doubt) {
	if err := tellDoubts(w, doubts, doubtsTold); err != nil {
		fmt.Fprintf(w, "in doubt    %v\n", err)
	}
}

// surveyed is what a recovery would find, as it is printed.
type surveyed struct {
	Bucket         string                  `json:"bucket"`
	Base           coordinator.Incarnation `json:"base"` // 0: the bucket holds no cluster
	Snapshot       uint64                  `json:"snapshot"`
	JournalObjects int                     `json:"journal_objects"`
	Chains         int                     `json:"chains"`
	OpenChains     int                     `json:"open_chains"`
	Beyond         int                     `json:"spans_beyond_holes"`
	Next           coordinator.Incarnation `json:"next"`
	Coordinator    string                  `json:"coordinator,omitempty"` // what Redis holds, in words
	held
}

// surveyBucket says what a recovery would find.
func surveyBucket(ctx context.Context, s streams, b *stores.Bucket, at coordinatorURL, deadline time.Duration,
	form outputForm) error {
	found, err := coordinator.Look(ctx, b)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", b.Location, err)
	}
	holds := ""
	if at.redis != nil {
		if holds, err = surveyCoordinator(ctx, at, deadline, found.Base); err != nil {
			return err
		}
	}
	printed := surveyed{fmt.Sprint(b.Location), found.Base, found.Snapshot, found.Objects, found.Chains, found.Open,
		found.Beyond, found.Newest + 1, holds, heldBy(found.Summary, found.Doubts)}
	return form.printWith(s.Out, printed, func(w io.Writer) error {
		if found.Base == 0 {
			fmt.Fprintf(w, "bucket      %s holds no cluster: a recovery would begin an empty one\n", b.Location)
		} else {
			fmt.Fprintf(w, "bucket      %s holds %s\n", b.Location, found.Summary)
			fmt.Fprintf(w, "base        incarnation %d: its snapshot %d and %d journal objects\n", found.Base, found.Snapshot,
				found.Objects)
		}
		fmt.Fprintf(w, "chains      %d, of which %d are open: a recovery would seal those, and whoever writes them "+
			"would begin a new life\n", found.Chains, found.Open)
		fmt.Fprintf(w, "beyond      %d spans beyond holes, never acknowledged: a recovery would drop them\n", found.Beyond)
		writeDoubts(w, found.Doubts)
		fmt.Fprintf(w, "next        incarnation %d\n", found.Newest+1)
		if holds != "" {
			fmt.Fprintf(w, "coordinator %s\n", holds)
		}
		return nil
	})
}

// surveyCoordinator says what Redis holds.
func surveyCoordinator(ctx context.Context, at coordinatorURL, deadline time.Duration,
	base coordinator.Incarnation) (holds string, err error) {
	coord, closeIt, err := at.open(ctx, deadline)
	if err != nil {
		return "", err
	}
	defer closeIt()
	switch now, err := coord.Generation(ctx); {
	case errors.Is(err, coordinator.ErrNotOpen):
		return fmt.Sprintf("%s holds nothing that can be trusted: the next node that asks recovers", at), nil
	case err != nil:
		return "", err
	case now.Incarnation < base:
		return fmt.Sprintf("%s holds incarnation %d, which the bucket has left behind: the next node that begins a life "+
			"recovers", at, now.Incarnation), nil
	default:
		return fmt.Sprintf("%s holds incarnation %d: no recovery is needed", at, now.Incarnation), nil
	}
}
