package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTxn(s streams) *cobra.Command {
	return ofServer(s, "txn", "List, describe and abort transactions", newTxnList, newTxnDescribe, newTxnAbort)
}

// listedTransaction is a transactional id in a list.
type listedTransaction struct {
	TransactionalID string `json:"transactional_id"`
	State           string `json:"state"`
	ProducerID      int64  `json:"producer_id"`
}

func newTxnList(s streams, b *bootstrap) *cobra.Command {
	var states []string
	var form outputForm
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
			list := []listedTransaction{}
			for _, t := range listed {
				list = append(list, listedTransaction{t.TxnID, t.State, t.ProducerID})
			}
			slices.SortFunc(list, func(x, y listedTransaction) int { return cmp.Compare(x.TransactionalID, y.TransactionalID) })
			return form.print(s.Out, list)
		},
	}
	form.addFlag(cmd)
	cmd.Flags().StringSliceVar(&states, "state", nil, "these `states` alone, such as Ongoing or CompleteCommit")
	return cmd
}

// ofTransaction is a command about one transactional id, which do is given as the server describes
// it.
func ofTransaction(b *bootstrap, name, short string,
	do func(ctx context.Context, adm *kadm.Client, t *kadm.DescribedTransaction) error) *cobra.Command {
	return &cobra.Command{
		Use:               name + " TRANSACTIONAL-ID",
		Short:             short,
		Args:              exactly("TRANSACTIONAL-ID"),
		ValidArgsFunction: firstArg(b.complete(listTransactionalIDs)),
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

// describedTransaction is what describe says of a transactional id.
type describedTransaction struct {
	TransactionalID string     `json:"transactional_id"`
	State           string     `json:"state"`
	ProducerID      int64      `json:"producer_id"`
	Epoch           int16      `json:"epoch"`
	TimeoutMillis   int32      `json:"timeout_ms"`
	Since           *time.Time `json:"since"`
	OpenIn          assignment `json:"open_in"`
}

func newTxnDescribe(s streams, b *bootstrap) *cobra.Command {
	var form outputForm
	cmd := ofTransaction(b, "describe", "Show the producer of a transactional id, and where its transaction is open",
		func(_ context.Context, _ *kadm.Client, t *kadm.DescribedTransaction) error {
			found := describedTransaction{t.TxnID, t.State, t.ProducerID, t.ProducerEpoch, t.TimeoutMillis, nil,
				assignmentOf(t.Topics)}
			if t.StartTimestamp >= 0 {
				found.Since = new(time.UnixMilli(t.StartTimestamp).UTC())
			}
			return form.print(s.Out, found)
		})
	form.addFlag(cmd)
	return cmd
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
			s.note("aborted the transaction of %s", printable(t.TxnID))
			return nil
		})
}
