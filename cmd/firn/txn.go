package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTxn(s streams) *cobra.Command {
	return ofServer(s, "txn", "List, describe and abort transactions", newTxnList, newTxnDescribe, newTxnAbort)
}

func newTxnList(s streams, b *bootstrap) *cobra.Command {
	var states []string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List transactional ids, one a line, with the states of their transactions",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			listed, err := adm.ListTransactions(ctx, nil, states)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
			for _, t := range slices.SortedFunc(maps.Values(listed), func(x, y kadm.ListedTransaction) int {
				return cmp.Compare(x.TxnID, y.TxnID)
			}) {
				fmt.Fprintf(w, "%s\t%s\tproducer %d\n", t.TxnID, t.State, t.ProducerID)
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "these `states` alone, such as Ongoing or CompleteCommit")
	return cmd
}

// ofTransaction is a command about one transactional id, which do is given as the server describes
// it.
func ofTransaction(b *bootstrap, name, short string,
	do func(ctx context.Context, adm *kadm.Client, t *kadm.DescribedTransaction) error) *cobra.Command {
	return &cobra.Command{
		Use:   name + " TRANSACTIONAL-ID",
		Short: short,
		Args:  exactly("TRANSACTIONAL-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			described, err := adm.DescribeTransactions(ctx, args[0])
			if err != nil {
				return err
			}
			t, err := described.On(args[0], nil)
			if err = cmp.Or(err, t.Err); err != nil {
				return err
			}
			return do(ctx, adm, &t)
		},
	}
}

func newTxnDescribe(s streams, b *bootstrap) *cobra.Command {
	return ofTransaction(b, "describe", "Show the producer of a transactional id, and where its transaction is open",
		func(_ context.Context, _ *kadm.Client, t *kadm.DescribedTransaction) error {
			fmt.Fprintf(s.Out, "state        %s\nproducer id  %d\nepoch        %d\ntimeout      %s\n",
				t.State, t.ProducerID, t.ProducerEpoch, time.Duration(t.TimeoutMillis)*time.Millisecond)
			if t.StartTimestamp >= 0 {
				fmt.Fprintf(s.Out, "since        %s\n", time.UnixMilli(t.StartTimestamp).UTC().Format(time.RFC3339))
			}
			for _, topic := range t.Topics.Sorted() {
				fmt.Fprintf(s.Out, "open in      %s %v\n", topic.Topic, topic.Partitions)
			}
			return nil
		})
}

func newTxnAbort(s streams, b *bootstrap) *cobra.Command {
	return ofTransaction(b, "abort", "Abort the transaction that is ongoing, and fence its producer",
		func(ctx context.Context, adm *kadm.Client, t *kadm.DescribedTransaction) error {
			if t.State != "Ongoing" {
				return fmt.Errorf("the transaction of %q is not ongoing: its state is %s", t.TxnID, t.State)
			}
			written, err := adm.WriteTxnMarkers(ctx,
				kadm.TxnMarkers{ProducerID: t.ProducerID, ProducerEpoch: t.ProducerEpoch, Topics: t.Topics})
			if err != nil {
				return err
			}
			for _, m := range written.SortedPartitions() {
				if m.Err != nil {
					return m.Err
				}
			}
			fmt.Fprintf(s.Out, "aborted the transaction of %s\n", t.TxnID)
			return nil
		})
}
