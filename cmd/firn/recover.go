package main

import (
	"context"
	"errors"
	"fmt"
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
				return surveyBucket(cmd.Context(), s, b, at, deadline)
			}
			return recoverBucket(cmd.Context(), s, b, at, deadline, forget)
		},
	}
	cmd.Flags().StringVar(&store, "store", defaultStore, "`URL` of the bucket")
	cmd.Flags().StringVar(&where, "coordinator", inProcess, "`URL` of Redis")
	cmd.Flags().DurationVar(&deadline, "commit-deadline", coordinator.DefaultCommitDeadline, "as the nodes have it")
	cmd.Flags().BoolVar(&forget, "forget-doubts", false,
		"let go of records that contradict others, which you have looked at: their segments are deleted")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what a recovery would find and do, and change nothing")
	return cmd
}

// doubtsTold is how many of what is in doubt are named.
const doubtsTold = 20

// recoverBucket recovers, and loads the state into the coordinator.
func recoverBucket(ctx context.Context, s streams, b *stores.Bucket, at coordinatorPlace, deadline time.Duration,
	forget bool) error {
	decides, closeIt, err := at.open(ctx, deadline)
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
	err = decides.Open(ctx, state)
	if errors.Is(err, coordinator.ErrOpening) {
		if now, lost := decides.Generation(ctx); lost == nil && now == state.Generation() {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("loading incarnation %d into %s: %w; run it again: it recovers anew", state.Incarnation(), at, err)
	}
	fmt.Fprintf(s.Out, "recovered   incarnation %d in %s: %s\n", state.Incarnation(), at, state.Summary())
	if err := tellDoubts(s.Out, state.Doubts(), doubtsTold); err != nil {
		fmt.Fprintf(s.Out, "in doubt    %v\n", err)
	}
	fmt.Fprintf(s.Err, "took %s; nodes that are running go on in it by themselves\n",
		time.Since(begun).Round(time.Millisecond))
	return nil
}

// surveyBucket says what a recovery would find.
func surveyBucket(ctx context.Context, s streams, b *stores.Bucket, at coordinatorPlace, deadline time.Duration) error {
	found, err := coordinator.Look(ctx, b)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", b.Location, err)
	}
	if found.Base == 0 {
		fmt.Fprintf(s.Out, "bucket      %s holds no cluster: a recovery would begin an empty one\n", b.Location)
	} else {
		fmt.Fprintf(s.Out, "bucket      %s holds %s\n", b.Location, found.Summary)
		fmt.Fprintf(s.Out, "base        incarnation %d: its snapshot %d and %d journal objects\n", found.Base, found.Snapshot,
			found.Objects)
	}
	fmt.Fprintf(s.Out, "chains      %d, of which %d are open: a recovery would seal those, and whoever writes them "+
		"would begin a new life\n", found.Chains, found.Open)
	fmt.Fprintf(s.Out, "beyond      %d spans beyond holes, never acknowledged: a recovery would drop them\n", found.Beyond)
	if err := tellDoubts(s.Out, found.Doubts, doubtsTold); err != nil {
		fmt.Fprintf(s.Out, "in doubt    %v\n", err)
	}
	fmt.Fprintf(s.Out, "next        incarnation %d\n", found.Newest+1)
	if at.redis == nil {
		return nil
	}
	decides, closeIt, err := at.open(ctx, deadline)
	if err != nil {
		return err
	}
	defer closeIt()
	switch now, err := decides.Generation(ctx); {
	case errors.Is(err, coordinator.ErrNotOpen):
		fmt.Fprintf(s.Out, "coordinator %s holds nothing that can be trusted: the next node that asks recovers\n", at)
	case err != nil:
		return err
	case now.Incarnation < found.Base:
		fmt.Fprintf(s.Out, "coordinator %s holds incarnation %d, which the bucket has left behind: the next node that "+
			"begins a life recovers\n", at, now.Incarnation)
	default:
		fmt.Fprintf(s.Out, "coordinator %s holds incarnation %d: no recovery is needed\n", at, now.Incarnation)
	}
	return nil
}
