package protocol

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"firn.dev/segments"
)

// claimDriver sends events to a group of claims.
type claimDriver struct {
	*Claims
	now    time.Time
	epochs uint64
	unread map[segments.Partition]bool
}

func newClaimDriver(limits Limits) *claimDriver {
	return &claimDriver{Claims: newClaims(limits), now: time.Unix(1e9, 0), unread: map[segments.Partition]bool{}}
}

var claimTopic = segments.NewTopicID()

// numbered returns the first n partitions of a topic.
func numbered(n int) (all []segments.Partition) {
	for i := range n {
		all = append(all, segments.Partition{Topic: claimTopic, Index: int32(i)})
	}
	return all
}

func (d *claimDriver) ask(holder string, most int, ttl time.Duration, spare int, of []segments.Partition) ([]Grant,
	*kerr.Error) {
	return d.Claim(d.now, &Claiming{Holder: holder, Partitions: of, Max: most, TTL: ttl, Spare: spare,
		Lag:   func(at segments.Partition) int64 { return map[bool]int64{true: 1}[d.unread[at]] },
		Epoch: func() uint64 { d.epochs++; return d.epochs }})
}

func (d *claimDriver) one(t *testing.T, holder string, of []segments.Partition) Held {
	t.Helper()
	granted, err := d.ask(holder, 1, time.Minute, 100, of)
	if err != nil || len(granted) != 1 {
		t.Fatalf("%s is granted %v, %v", holder, granted, err)
	}
	return Held{granted[0].Partition, granted[0].Epoch}
}

// A partition that is given up again and again does not keep those waiting that have records to
// read as well; one without any comes last.
func TestThePartitionThatWaitedLongestIsNext(t *testing.T) {
	d := newClaimDriver(testLimits)
	all := numbered(4)
	d.unread[all[1]], d.unread[all[2]], d.unread[all[3]] = true, true, true
	var order []int32
	for range 6 {
		h := d.one(t, "a", all)
		order = append(order, h.Partition.Index)
		d.now = d.now.Add(time.Second)
		if err := d.Release(d.now, h, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(order); got != "[1 2 3 1 2 3]" {
		t.Errorf("claimed in the order %s", got)
	}
	d.unread = nil
	if h := d.one(t, "a", all); h.Partition.Index != 0 {
		t.Errorf("with nothing to read, partition %d is claimed before the one that nobody ever had", h.Partition.Index)
	}
}

// A request that is made again gets the same claims; what ended at one time goes back to who had
// it.
func TestAHolderKeepsItsClaims(t *testing.T) {
	d := newClaimDriver(testLimits)
	all := numbered(4)
	a, b := d.one(t, "a", all), d.one(t, "b", all)
	if again := d.one(t, "a", all); again != a {
		t.Errorf("a has %v and is granted %v", a, again)
	}
	if more, _ := d.ask("b", 3, time.Minute, 100, all); len(more) != 3 || more[0].Epoch != b.Epoch {
		t.Errorf("b, who wants three, is granted %v", more)
	}
	d.now = d.now.Add(time.Minute)
	if h := d.one(t, "b", all[:2]); h.Partition != b.Partition {
		t.Errorf("b gets %v, had %v", h, b)
	}
	if h := d.one(t, "a", all[:2]); h.Partition != a.Partition || h.Epoch == a.Epoch {
		t.Errorf("a gets %v, had %v before it expired", h, a)
	}
}

// No more partitions are remembered than there is room for. Claims are not suffered for that,
// memories are.
func TestClaimsAreBounded(t *testing.T) {
	limits := testLimits
	limits.ClaimsPerGroup = 3
	d := newClaimDriver(limits)
	all := numbered(5)
	if got, err := d.ask("a", 5, time.Minute, 100, all); len(got) != 3 || err != nil {
		t.Errorf("granted %v, %v", got, err)
	}
	if _, err := d.ask("b", 1, time.Minute, 100, all); err != kerr.GroupMaxSizeReached {
		t.Errorf("beyond ClaimsPerGroup: %v", err)
	}
	if err := d.Release(d.now, Held{all[0], 1}, "a"); err != nil {
		t.Fatal(err)
	}
	if got, err := d.ask("b", 1, time.Minute, 0, all[4:]); len(got) != 1 || err != nil {
		t.Errorf("a memory does not make room: %v, %v", got, err)
	}
	if got, err := d.ask("a", 5, time.Minute, 0, all); len(got) != 2 || err != nil {
		t.Errorf("a keeps %v, %v", got, err)
	}
}

// heldClaim is what the model knows of the last claim of a partition.
type heldClaim struct {
	holder string
	epoch  uint64
	until  time.Time // when it ends, or ended
	doubt  time.Time
}

// Whatever comes, in whatever order: a partition is granted only when its former claim is over and
// no commit of it is in doubt, with a higher epoch; only the current holder can renew, commit and
// give up, and always can; the accounts are right; and in the end nothing is left.
func TestClaimsKeepTheirInvariants(t *testing.T) {
	limits := testLimits
	limits.ClaimsPerGroup = 4
	rapid.Check(t, func(t *rapid.T) {
		d := newClaimDriver(limits)
		all := numbered(6)
		model := map[segments.Partition]heldClaim{}
		for range rapid.IntRange(1, 100).Draw(t, "events") {
			stepClaims(t, d, all, model)
			checkClaims(t, d)
		}
		d.now = d.now.Add(MaxClaimTTL)
		d.Tick(d.now)
		if !d.vacant() {
			t.Fatalf("claims are left: %v", d.All())
		}
		d.now = d.now.Add(remembered)
		d.Tick(d.now)
		if !d.Idle() || d.bytes != 0 || !d.Deadline().IsZero() {
			t.Fatalf("left are %d partitions, %d bytes, deadline %s", len(d.known), d.bytes, d.Deadline())
		}
	})
}

func stepClaims(t *rapid.T, d *claimDriver, all []segments.Partition, model map[segments.Partition]heldClaim) {
	holder := rapid.SampledFrom([]string{"a", "b", "ccc"}).Draw(t, "holder")
	at := rapid.SampledFrom(all).Draw(t, "partition")
	is := model[at]
	h := Held{at, is.epoch - uint64(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "off"))}
	current := is.holder == holder && h.Epoch == is.epoch && d.now.Before(is.until)
	answered := func(err *kerr.Error) {
		if (err == nil) != current {
			t.Fatalf("%s, epoch %d, is answered %v; the claim is %+v at %s", holder, h.Epoch, err, is, d.now)
		}
	}
	ttl := time.Duration(rapid.IntRange(1, 20).Draw(t, "ttl")) * time.Second
	switch rapid.IntRange(0, 6).Draw(t, "event") {
	case 0, 1:
		granted, _ := d.ask(holder, rapid.IntRange(1, 4).Draw(t, "max"), ttl, rapid.IntRange(0, 9).Draw(t, "spare"), all)
		for _, g := range granted {
			was := model[g.Partition]
			kept := was.epoch == g.Epoch && was.holder == holder && d.now.Before(was.until)
			if !kept && (g.Epoch <= was.epoch || d.now.Before(was.until) || d.now.Before(was.doubt)) {
				t.Fatalf("%v is granted to %s with epoch %d at %s; the claim before is %+v", g.Partition, holder, g.Epoch, d.now,
					was)
			}
			model[g.Partition] = heldClaim{holder, g.Epoch, d.now.Add(ttl), was.doubt}
		}
	case 2:
		answered(d.Renew(d.now, h, holder, ttl))
		if current {
			is.until = d.now.Add(ttl)
			model[at] = is
		}
	case 3:
		answered(d.Release(d.now, h, holder))
		if current {
			is.until = d.now
			model[at] = is
		}
	case 4, 5:
		_, err := d.Held(d.now, at, holder, h.Epoch)
		answered(err)
		if !current {
			return
		}
		d.now = d.now.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "deciding")) * time.Second)
		d.Tick(d.now)
		var doubtful time.Time
		doubt, release := rapid.Bool().Draw(t, "doubt"), rapid.Bool().Draw(t, "release")
		if doubt {
			doubtful = d.now.Add(10 * time.Second)
		}
		d.Decided(d.now, h, doubtful, release)
		switch {
		case doubt:
			is.doubt = doubtful
		case release && d.now.Before(is.until):
			is.until = d.now
		}
		model[at] = is
	case 6:
		d.now = d.now.Add(time.Duration(rapid.IntRange(0, 10_000).Draw(t, "millis")) * time.Millisecond)
		if rapid.Bool().Draw(t, "tick") {
			d.Tick(d.now)
		}
	}
}

func checkClaims(t *rapid.T, d *claimDriver) {
	bytes, current := 0, map[string]int{}
	for at, c := range d.known {
		bytes += c.size()
		if c.lasts() {
			current[c.holder]++
		}
		if due := c.until; c.lasts() && d.Deadline().After(due) {
			t.Fatalf("%v expires at %s, the timer rings at %s", at, due, d.Deadline())
		}
	}
	if bytes != d.bytes || fmt.Sprint(current) != fmt.Sprint(d.holders) || len(d.known) > d.limits.ClaimsPerGroup {
		t.Fatalf("%d bytes, should be %d; holders %v, should be %v; %d are known", d.bytes, bytes, d.holders, current,
			len(d.known))
	}
}
