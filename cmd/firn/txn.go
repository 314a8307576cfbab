package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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

func newTxnDescribe(s streams, b *bootstrap) *cobra.Command {
	return &cobra.Command{
		Use:   "describe TRANSACTIONAL-ID",
		Short: "Show the producer of a transactional id, and where its transaction is open",
		Args:  exactly("TRANSACTIONAL-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			t, err := describeTransaction(adm.DescribeTransactions(ctx, args[0]))
			if err != nil {
				return err
			}
			fmt.Fprintf(
				s.Out,
				"state        %s\nproducer id  %d\nepoch        %d\ntimeout      %s\n",
				t.State,
				t.ProducerID,
				t.ProducerEpoch,
				time.Duration(t.TimeoutMillis)*time.Millisecond,
			)
			if t.StartTimestamp >= 0 {
				fmt.Fprintf(s.Out, "since        %s\n", time.UnixMilli(t.StartTimestamp).UTC().Format(time.RFC3339))
			}
			for _, topic := range t.Topics.Sorted() {
				fmt.Fprintf(s.Out, "open in      %s %v\n", topic.Topic, topic.Partitions)
			}
			return nil
		},
	}
}

// describeTransaction is the answer for one transactional id.
func describeTransaction(all kadm.DescribedTransactions, err error) (kadm.DescribedTransaction, error) {
	if err != nil {
		return kadm.DescribedTransaction{}, err
	}
	for _, t := range all {
		return t, t.Err
	}
	return kadm.DescribedTransaction{}, kerr.TransactionalIDNotFound
}

func newTxnAbort(s streams, b *bootstrap) *cobra.Command {
	return &cobra.Command{
		Use:   "abort TRANSACTIONAL-ID",
		Short: "Abort the transaction that is ongoing, and fence its producer",
		Args:  exactly("TRANSACTIONAL-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			t, err := describeTransaction(adm.DescribeTransactions(ctx, args[0]))
			if err != nil {
				return err
			}
			if t.State != "Ongoing" {
				return fmt.Errorf("the transaction of %q is not ongoing: its state is %s", args[0], t.State)
			}
			markers := kadm.TxnMarkers{ProducerID: t.ProducerID, ProducerEpoch: t.ProducerEpoch, Topics: t.Topics}
			written, err := adm.WriteTxnMarkers(ctx, markers)
			if err != nil {
				return err
			}
			for _, m := range written {
				for _, topic := range m.Topics {
					for _, p := range topic.Partitions {
						if p.Err != nil {
							return p.Err
						}
					}
				}
			}
			fmt.Fprintf(s.Out, "aborted the transaction of %s\n", args[0])
			return nil
		},
	}
}
