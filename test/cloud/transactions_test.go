package cloud

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// TestTransactions compares rounds of records in transactions with the same records without: what
// their endings cost. In the long form it prints a table.
func TestTransactions(t *testing.T) {
	rounds, budgets, producers := 5, []float64{defaultBudget}, []int{20}
	if *long {
		rounds, budgets, producers = 50, []float64{defaultBudget, 0}, []int{1, 20}
	}
	table := bytes.NewBufferString("\n| put budget | producers | puts for 1,000 rounds | in transactions | " +
		"records, p50 / p99 ms | in transactions | their commit |\n|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, budget := range budgets {
		for _, n := range producers {
			e := Exchange{Setting: Setting{Producers: n, Budget: budget, Carry: carried, Seed: 1}, Rounds: rounds * 20 / n,
				Every: time.Second}
			without := RunExchange(t, e)
			e.Transactional = true
			within := RunExchange(t, e)
			for _, r := range []ExchangeResult{without, within} {
				if r.Rounds != rounds*20 {
					t.Errorf("%d of %d rounds were written", r.Rounds, rounds*20)
				}
			}
			// Markers travel with records. A lone producer has nobody else's; and a short run begins with
			// InitProducerId.
			if n > 1 && budget > 0 && within.Puts > without.Puts*3/2 {
				t.Errorf("%d puts with transactions, %d without", within.Puts, without.Puts)
			}
			thousand := 1000 / float64(without.Rounds)
			fmt.Fprintf(table, "| %g | %d | %.0f | %.0f | %.0f / %.0f | %.0f / %.0f | %.0f / %.0f |\n", budget, n,
				float64(without.Puts)*thousand, float64(within.Puts)*thousand, without.WriteP50, without.WriteP99,
				within.WriteP50, within.WriteP99, within.CommitP50, within.CommitP99)
		}
	}
	t.Log(table.String())
}
