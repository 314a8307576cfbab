package coordinator

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firn.dev/segments"
)

// newGolden writes golden files that do not exist yet, for a new version or kind. Those that exist
// are promises, and stay as they are.
var newGolden = flag.Bool("firn.newgolden", false, "write golden files that do not exist yet")

func golden(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && *newGolden {
		b = content
		err = os.WriteFile(path, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sampleFacts() []*Fact {
	topic, segment := segments.TopicID{0x40, 1, 2}, segments.ID{1, 0x93, 0xb0, 9, 9}
	at := segments.Partition{Topic: topic, Index: 3}
	other := segments.Partition{Topic: topic}
	return []*Fact{
		{Incarnation: 4, Topic: &TopicFact{ID: topic, Name: "métriques", Version: 2, Partitions: 12,
			Configs: map[string]string{"retention.ms": "1000", "cleanup.policy": "delete"}}},
		{Incarnation: 4, Topic: &TopicFact{ID: segments.TopicID{7}, Name: "gone", Version: 9, Partitions: 1, Deleted: true}},
		{Incarnation: 4, Commit: &Commit{Segment: segment, Spans: []CommitSpan{
			{
				Partition: at,
				Span: Span{Segment: segment, Base: 0, Last: 299, Position: 32, Length: 70000,
					MaxTimestamp: 1_700_000_000_123},
				Producers: []ProducerBatch{
					{5, 1, 1<<31 - 10, 89, 0, 1_700_000_000_500, 0},
					{6, 0, 0, 199, 100, 1_700_000_000_500, 0},
				},
			},
			{
				Partition: other,
				Span: Span{Segment: segment, Base: 1 << 40, Last: 1 << 40, Position: 70032, Length: 61,
					MaxTimestamp: -1},
			},
		}}},
		{Incarnation: 4, LogStart: &LogStart{Offsets: map[segments.Partition]int64{at: 17, {Topic: topic}: 0}}},
		{Incarnation: 4, ProducerIDs: &ProducerIDs{End: 3000}},
	}
}

// sampleOffsets are facts of the kind that consumer groups brought.
func sampleOffsets() []*Fact {
	topic := segments.TopicID{0x40, 1, 2}
	at := segments.Partition{Topic: topic, Index: 3}
	return []*Fact{
		{Incarnation: 4, Offsets: &Offsets{Group: "facturación", Version: 7, Epoch: 4<<32 | 2, Time: 1_700_000_000_900,
			Partitions: []GroupOffset{
				{Partition: segments.Partition{Topic: topic}, Offset: 0, LeaderEpoch: -1},
				{Partition: at, Offset: 300, LeaderEpoch: 0, Metadata: "host-1"},
			}}},
		{Incarnation: 4, Offsets: &Offsets{Group: "facturación", Version: 8, Epoch: 4<<32 | 2, Time: 1_700_000_001_000,
			Partitions: []GroupOffset{DeletedOffset(segments.Partition{Topic: topic})}}},
		{Incarnation: 4, Offsets: &Offsets{Group: "gone", Version: 9, Epoch: 4<<32 | 3, Time: 1_700_000_001_100,
			Forget: true}},
	}
}

// sampleAnyOffsets commit the numbers that the first version of the fact cannot hold.
func sampleAnyOffsets() []*Fact {
	at := func(index int32) segments.Partition {
		return segments.Partition{Topic: segments.TopicID{0x40, 1, 2}, Index: index}
	}
	return []*Fact{{Incarnation: 4, Offsets: &Offsets{
		Group: "kafkajs", Version: 10, Epoch: 4<<32 | 3, Time: 1_700_000_002_000,
		Partitions: []GroupOffset{
			{Partition: at(0), Offset: -1, LeaderEpoch: -1, Metadata: "latest"},
			{Partition: at(1), Offset: -2, LeaderEpoch: -1},
			{Partition: at(2), Offset: math.MinInt64, LeaderEpoch: math.MaxInt32},
			{Partition: at(3), Offset: math.MaxInt64, LeaderEpoch: 0},
			{Partition: at(4), Offset: 7, LeaderEpoch: 3},
			DeletedOffset(at(5)),
		}}}}
}

// sampleKeyed are commits of requests with keys: one that joins the prefix and one beyond a hole.
func sampleKeyed() []*Fact {
	segment := segments.ID{1, 0x93, 0xb0, 9, 10}
	at := segments.Partition{Topic: segments.TopicID{0x40, 1, 2}, Index: 3}
	key := func(id byte, partitions int32) RequestKey {
		return RequestKey{ID: [16]byte{id, 15: 1}, Body: [16]byte{id, 15: 2},
			Partitions: partitions, Timestamp: 1_700_000_002_000}
	}
	return []*Fact{{Incarnation: 4, Commit: &Commit{Segment: segment, Spans: []CommitSpan{
		{
			Partition: at,
			Span: Span{Segment: segment, Base: 300, Last: 309, Position: 32, Length: 900,
				MaxTimestamp: 1_700_000_002_000},
			Producers: []ProducerBatch{{6, 0, 200, 200, 309, 1_700_000_002_500, 0}},
			Keyed:     []Keyed{{key(8, 12), at, 300, 4, 1_700_000_002_500}, {key(2, 12), at, 305, 3, 1_700_000_002_500}},
		},
		{
			Partition: at,
			Span:      Span{Segment: segment, Base: 400, Last: 400, Position: 932, Length: 61, MaxTimestamp: -1},
			Keyed:     []Keyed{{key(9, 0), at, 400, 1, 1_700_000_002_500}},
		},
		{
			Partition: segments.Partition{Topic: at.Topic},
			Span:      Span{Segment: segment, Base: 1<<40 + 1, Last: 1<<40 + 1, Position: 993, Length: 61},
		},
	}}}}
}

// sampleMerges are merges of what the samples before have: one that is applied, with holes, one
// that removes everything, and one that waits for another.
func sampleMerges() []*Fact {
	segment := segments.ID{1, 0x93, 0xb0, 9, 11}
	at := segments.Partition{Topic: segments.TopicID{0x40, 1, 2}, Index: 3}
	return []*Fact{
		{Incarnation: 4, Merge: &Merge{Partition: at, Version: 1, Base: 0, Last: 309, Spans: []Span{
			{Segment: segment, Base: 3, Last: 200, Position: 32, Length: 9000, MaxTimestamp: 1_700_000_000_123, Version: 1},
			{Segment: segment, Base: 205, Last: 309, Position: 9032, Length: 900, MaxTimestamp: -1, Version: 1}}}},
		{Incarnation: 4, Merge: &Merge{Partition: at, Version: 3, Base: 205, Last: 309, Spans: []Span{
			{Segment: segment, Base: 309, Last: 309, Position: 32, Length: 61, Version: 3}}}},
		{Incarnation: 4, Merge: &Merge{Partition: segments.Partition{Topic: at.Topic}, Version: 1, Base: 0, Last: 1 << 40}},
	}
}

// sampleKinds are merges into spans that were compacted, and into spans that stand for others:
// applied, and one that waits.
func sampleKinds() []*Fact {
	topic := segments.TopicID{0x40, 1, 2}
	mixed, segment := segments.ID{1, 0x93, 0xb0, 9, 12}, segments.ID{1, 0x93, 0xb0, 9, 13}
	compacted, archived := segments.Partition{Topic: topic, Index: 5}, segments.Partition{Topic: topic, Index: 6}
	mixedAt := func(position int64) Span {
		return Span{Segment: mixed, Base: 0, Last: 299, Position: position, Length: 900, MaxTimestamp: 1_700_000_002_000}
	}
	return []*Fact{
		{Incarnation: 4, Commit: &Commit{Segment: mixed, Spans: []CommitSpan{
			{Partition: compacted, Span: mixedAt(32)},
			{Partition: archived, Span: mixedAt(932)}}}},
		{Incarnation: 4, Merge: &Merge{Partition: compacted, Version: 1, Base: 0, Last: 299, Spans: []Span{
			{Segment: segment, Base: 3, Last: 200, Position: 32, Length: 90, MaxTimestamp: 1_700_000_000_123,
				Version: 1, Compacted: true, Horizon: 1_700_086_400_123},
			{Segment: segment, Base: 205, Last: 299, Position: 122, Length: 61, MaxTimestamp: -1,
				Version: 1, Compacted: true}}}},
		{Incarnation: 4, Merge: &Merge{Partition: archived, Version: 1, Base: 0, Last: 299, Spans: []Span{
			{Segment: segment, Base: 0, Last: 299, Length: 1 << 40, MaxTimestamp: 1_700_000_002_000, Version: 1, Listed: 256}}}},
		{Incarnation: 4, Merge: &Merge{Partition: archived, Version: 3, Base: 300, Last: 599, Spans: []Span{
			{Segment: segment, Base: 300, Last: 599, Length: 1, MaxTimestamp: 7, Version: 3, Listed: 1}}}},
	}
}

// sampleSettings set, replace and delete settings, one of them late.
func sampleSettings() []*Fact {
	at := func(version uint64, changes ...Setting) *Fact {
		return &Fact{Incarnation: 4, Settings: &Settings{Version: version, Time: 1_700_000_003_000, Changes: changes}}
	}
	return []*Fact{
		at(2, Setting{Kind: UserSetting, Key: "SCRAM-SHA-256 zoë", Value: "\x00\xff secret"},
			Setting{Kind: ACLSetting, Key: "a", Value: "allow"}, Setting{Kind: ACLSetting, Key: "b", Value: "allow"}),
		at(3, Setting{Kind: ACLSetting, Key: "b", Deleted: true}, Setting{Kind: QuotaSetting, Key: "zoë", Value: "1048576"}),
		at(1, Setting{Kind: ACLSetting, Key: "b", Value: "late"}, Setting{Kind: ACLSetting, Key: "c"}),
	}
}

// sampleConfigs set levels of features and configs of what is no topic, and declare the replicas of
// a topic.
func sampleConfigs() []*Fact {
	at := func(version uint64, changes ...Setting) *Fact {
		return &Fact{Incarnation: 4, Settings: &Settings{Version: version, Time: 1_700_000_003_000, Changes: changes}}
	}
	topic := &TopicFact{ID: segments.TopicID{0x40, 1, 3}, Name: "declared", Version: 1, Partitions: 4,
		Configs: map[string]string{"retention.ms": "1000"}}
	for name, value := range DeclareReplicas(2, Assignment{{1, 2}, nil, {3}}) {
		topic.Configs[name] = *value
	}
	return []*Fact{
		at(4, Setting{Kind: FeatureSetting, Key: `["transaction.version"]`, Value: "1"},
			Setting{Kind: ConfigSetting, Key: `["broker","","leader.replication.throttled.rate"]`, Value: "1000"},
			Setting{Kind: ConfigSetting, Key: `["group","g","consumer.session.timeout.ms"]`, Value: "50000"}),
		at(5, Setting{Kind: ConfigSetting, Key: `["group","g","consumer.session.timeout.ms"]`, Deleted: true}),
		{Incarnation: 4, Topic: topic},
	}
}

// sampleTransactions are what transactions bring: two ids, one with all that a fact can have; a
// commit of transactional batches, and one with the markers of two endings, one of them beyond a
// hole.
func sampleTransactions() []*Fact {
	topic, segment, second := segments.TopicID{0x40, 1, 2}, segments.ID{1, 0x93, 0xb0, 9, 14}, segments.ID{1, 0x93,
		0xb0, 9, 15}
	at := func(index int32) segments.Partition { return segments.Partition{Topic: topic, Index: index} }
	const now = 1_700_000_004_000
	batch := func(producer, offset int64) ProducerBatch {
		return ProducerBatch{producer, 2, 0, 0, offset, now, 3}
	}
	span := func(of segments.ID, index int32, offset, position int64) CommitSpan {
		return CommitSpan{Partition: at(index), Span: Span{Segment: of, Base: offset, Last: offset,
			Position: position, Length: 78, MaxTimestamp: now}}
	}
	with := func(s CommitSpan, b ...ProducerBatch) CommitSpan { s.Producers = b; return s }
	marking := func(s CommitSpan, producer int64, result Result) CommitSpan {
		s.Marker = &Marker{producer, 3, result}
		return s
	}
	staged := []StagedOffsets{{Group: "g", Epoch: 4<<32 | 2, Partitions: []StagedOffset{
		{21, GroupOffset{Partition: at(1), Offset: -1, LeaderEpoch: -1, Metadata: "m"}}, {20,
			GroupOffset{Partition: at(2), Offset: 9, LeaderEpoch: 3}}}}}
	id := func(version uint64, name string, producer int64) TransactionalID {
		return TransactionalID{Version: version, Time: now, ID: name, ProducerID: producer, Epoch: 2,
			TimeoutMillis: 60_000, PreviousEpoch: -1,
			Ordinal: 3, Result: Aborted, EndedProducerID: -1, EndedEpoch: -1}
	}
	ongoing, old := id(11, "übertrag", 70), id(12, "old", 71)
	ongoing.Staged, ongoing.Started = staged, now
	old.Added, old.Groups, old.Started, old.PreviousEpoch, old.Aborting = []segments.Partition{at(7), at(8)},
		[]string{"g", "h"}, now, 1, true
	committed, aborted := id(13, "übertrag", 70), id(14, "third", 72)
	committed.Ordinal, committed.Epoch, committed.Result, committed.EndedProducerID, committed.EndedEpoch = 4, 3,
		Committed, 70, 2
	aborted.Ordinal = 4
	gone := id(15, "gone", 73)
	gone.Gone = true
	facts := []*Fact{
		{TransactionalID: &ongoing}, {TransactionalID: &old}, {TransactionalID: &gone},
		{Commit: &Commit{Segment: segment, Spans: []CommitSpan{with(span(segment, 7, 0, 32), batch(70, 0)),
			with(span(segment, 7, 1, 110), batch(72, 1)),
			with(span(segment, 8, 0, 188), batch(70, 0)), with(span(segment, 8, 5, 266), batch(71, 5))}}},
		{Commit: &Commit{Segment: second, Spans: []CommitSpan{marking(span(second, 7, 2, 32), 70, Committed),
			marking(span(second, 7, 3, 110), 72, Aborted),
			marking(span(second, 8, 6, 188), 70, Committed)},
			Endings: []Ended{{committed, staged}, {TransactionalID: aborted}}}},
	}
	for _, f := range facts {
		f.Incarnation = 4
	}
	return facts
}

// sampleAtomic are two atomic requests in one segment, one of them with offsets: each has a span
// beyond a hole. Another, with offsets, is complete.
func sampleAtomic() []*Fact {
	topic, segment := segments.TopicID{0x40, 1, 2}, segments.ID{1, 0x93, 0xb0, 9, 17}
	at := func(index int32) segments.Partition { return segments.Partition{Topic: topic, Index: index} }
	const now = 1_700_000_005_000
	span := func(of segments.ID, request uint32, index int32, offset, position int64) CommitSpan {
		return CommitSpan{Partition: at(index), Atomic: request, Span: Span{Segment: of, Base: offset, Last: offset + 1,
			Position: position, Length: 90, MaxTimestamp: now}, Keyed: []Keyed{{RequestKey{ID: [16]byte{9, byte(request)},
			Partitions: 12, Timestamp: now}, at(index), offset, 2, now}}}
	}
	counts := func(request uint32, version uint64) AtomicOffsets {
		return AtomicOffsets{request, now, StagedOffsets{Group: "functions", Epoch: 4<<32 | 3, Partitions: []StagedOffset{
			{version, GroupOffset{Partition: at(3), Offset: int64(10 * version), LeaderEpoch: -1, Metadata: "m"}}}}}
	}
	other := segments.ID{1, 0x93, 0xb0, 9, 18}
	return []*Fact{
		{Incarnation: 4, Commit: &Commit{Segment: segment, Atomic: []AtomicOffsets{counts(2, 31)}, Spans: []CommitSpan{
			span(segment, 1, 9, 0, 32), span(segment, 1, 10, 4, 122), span(segment, 2, 9, 2, 212),
			span(segment, 2, 10, 6, 302)}}},
		{Incarnation: 4, Commit: &Commit{Segment: other, Atomic: []AtomicOffsets{counts(1, 30)}, Spans: []CommitSpan{
			span(other, 1, 9, 4, 32), span(other, 1, 11, 0, 122)}}},
	}
}

// samples are one object of each kind, by name of the golden file and with their keys.
func samples(t testing.TB) map[string]struct {
	key    string
	object []byte
} {
	const life = "01JD0000000000000000000000"
	state := NewState(4, "c2x1c3Rlci1pZC1pcy1pdA")
	begin := journalObject{kind: journalBegin, incarnation: 4, life: life, who: "node 1", when: 1_700_000_000_000}
	facts := journalObject{kind: journalFacts, incarnation: 4, life: life, n: 1}
	for _, f := range sampleFacts() {
		facts.facts = append(facts.facts, AppendFact(nil, f))
		if err := state.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	seal := journalObject{kind: journalSeal, incarnation: 4, life: life, n: 2,
		who: "node 2, recovery X", when: 1_700_000_001_000, by: 5}
	void := snapshotObject{incarnation: 3}
	snapshot := snapshotObject{incarnation: 4, n: 1, state: state}
	snapshot.covers = map[string]cover{life: {2, true}, "other": {7, false}}
	// grown journals facts, and takes a snapshot of a state with them.
	grown := func(n uint64, before *State, facts []*Fact) (journalObject, snapshotObject) {
		o := journalObject{kind: journalFacts, incarnation: 4, life: life, n: n}
		s := snapshotObject{incarnation: 4, n: n, covers: map[string]cover{life: {n, false}}, state: before.clone(false)}
		for _, f := range facts {
			o.facts = append(o.facts, AppendFact(nil, f))
			if err := s.state.Apply(f); err != nil {
				t.Fatal(err)
			}
		}
		return o, s
	}
	offsets, withGroups := grown(2, state, sampleOffsets())
	withGroups.covers[life] = cover{2, true}
	keyed, withKeys := grown(3, withGroups.state, sampleKeyed())
	merges, withMerges := grown(4, withKeys.state, sampleMerges())
	kinds, withKinds := grown(5, withMerges.state, sampleKinds())
	told := facts
	told.n, told.nonce = 6, Nonce{1, 2, 3, 4, 5, 6, 7, 8}
	_, withDoubts := grown(6, withKinds.state, nil)
	withDoubts.state.nonce = told.nonce
	doubtful := segments.Partition{Topic: segments.TopicID{0x40}, Index: 1}
	withDoubts.state.addDoubts([]Doubt{
		{doubtful, Span{Segment: segments.ID{1, 0x93, 9}, Base: 7, Last: 9, Position: 32, Length: 5, MaxTimestamp: -1},
			Generation{4, Nonce{8, 7}}},
		{doubtful, Span{Segment: segments.ID{1, 0x93, 8}, Base: 3, Last: 3, Length: 1}, Generation{2, Nonce{}}}})
	anyOffsets, withAnyOffsets := grown(7, withDoubts.state, sampleAnyOffsets())
	settings, withSettings := grown(8, withAnyOffsets.state, sampleSettings())
	transactions, withTransactions := grown(9, withSettings.state, sampleTransactions())
	atomic, withAtomic := grown(10, withTransactions.state, sampleAtomic())
	configs, _ := grown(11, withAtomic.state, sampleConfigs())
	first := incarnationObject{n: 1, who: "node 1, recovery Y", when: 1_700_000_000_000,
		clusterID: "c2x1c3Rlci1pZC1pcy1pdA"}
	type sample = struct {
		key    string
		object []byte
	}
	return map[string]sample{
		"journal-begin-v1": {begin.key(), begin.encode()},
		"journal-facts-v1": {facts.key(), facts.encode()},
		"journal-seal-v1":  {seal.key(), seal.encode()},
		"snapshot-void-v1": {snapshotKey(3, 0), void.encode()},
		"snapshot-v1":      {snapshotKey(4, 1), snapshot.encode()},
		"incarnation-v1":   {incarnationKey(1), first.encode()},

		"journal-offsets-v1": {offsets.key(), offsets.encode()},
		"snapshot-v2":        {snapshotKey(4, 2), withGroups.encode()},

		"journal-keyed-v1":  {keyed.key(), keyed.encode()},
		"snapshot-keyed-v3": {snapshotKey(4, 3), withKeys.encode()},

		"journal-merges-v1":  {merges.key(), merges.encode()},
		"snapshot-merges-v3": {snapshotKey(4, 4), withMerges.encode()},

		"journal-kinds-v1": {kinds.key(), kinds.encode()},
		"snapshot-v4":      {snapshotKey(4, 5), withKinds.encode()},

		"journal-generation-v2": {told.key(), told.encode()},
		"snapshot-v5":           {snapshotKey(4, 6), withDoubts.encode()},

		"journal-anyoffset-v1": {anyOffsets.key(), anyOffsets.encode()},
		"snapshot-v6":          {snapshotKey(4, 7), withAnyOffsets.encode()},

		"journal-settings-v1": {settings.key(), settings.encode()},
		"snapshot-v7":         {snapshotKey(4, 8), withSettings.encode()},

		"journal-transactions-v1": {transactions.key(), transactions.encode()},
		"snapshot-v8":             {snapshotKey(4, 9), withTransactions.encode()},

		"journal-atomic-v1": {atomic.key(), atomic.encode()},
		"snapshot-v9":       {snapshotKey(4, 10), withAtomic.encode()},

		"journal-configs-v1": {configs.key(), configs.encode()},

		"index-v1": {IndexKey(segments.ID{1, 0x93, 0xb0, 9, 13}), sampleIndex().encode()},
	}
}

func TestGolden(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			if want := golden(t, name+".golden", s.object); !bytes.Equal(s.object, want) {
				t.Errorf("encoded differently than before:\n%x\nwas\n%x", s.object, want)
			}
			var text bytes.Buffer
			if err := Describe(&text, s.key, s.object); err != nil {
				t.Fatal(err)
			}
			if want := golden(t, name+".txt", text.Bytes()); text.String() != string(want) {
				t.Errorf("described as\n%s\nwas\n%s", &text, want)
			}
		})
	}
}

func TestVoidSize(t *testing.T) {
	if n := len(samples(t)["snapshot-void-v1"].object); n != voidSize {
		t.Errorf("a void snapshot has %d bytes, voidSize is %d", n, voidSize)
	}
}

// Every damage is noticed, and said what it is.
func TestDamage(t *testing.T) {
	resum := func(b []byte) []byte {
		return binary.BigEndian.AppendUint32(b[:len(b)-crcLen], crc32.Checksum(b[:len(b)-crcLen], castagnoli))
	}
	for name, s := range samples(t) {
		for damage, test := range map[string]struct {
			do   func([]byte) []byte
			want error
			says string
		}{
			"magic":         {func(b []byte) []byte { b[0] = 'f'; return b }, ErrMalformed, "begin"},
			"newer version": {func(b []byte) []byte { b[9] = snapshotVersion + 1; return b }, ErrNewer, "newer version"},
			"version 0":     {func(b []byte) []byte { b[9] = 0; return b }, ErrMalformed, "version 0"},
			"a bit":         {func(b []byte) []byte { b[len(b)/2] ^= 4; return b }, ErrMalformed, "CRC-32C"},
			"cut short":     {func(b []byte) []byte { return b[:len(b)-1] }, ErrMalformed, "CRC-32C"},
			"empty":         {func(b []byte) []byte { return nil }, ErrMalformed, "begin"},
			"too long":      {func(b []byte) []byte { return resum(append(b, 0)) }, ErrMalformed, "too many"},
		} {
			t.Run(name+"/"+damage, func(t *testing.T) {
				err := Describe(&bytes.Buffer{}, s.key, test.do(bytes.Clone(s.object)))
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v, want %v with %q", err, test.want, test.says)
				}
			})
		}
	}
	if _, err := DecodeFact([]byte{99, 1, 0}); !errors.Is(err, ErrNewer) {
		t.Errorf("an unknown kind of fact gives %v", err)
	}
	if _, err := DecodeFact([]byte{factTopic, 9, 0}); !errors.Is(err, ErrNewer) {
		t.Errorf("an unknown version of a fact gives %v", err)
	}
}

// FuzzDecodeFact: decoding never panics and takes no more memory than a small multiple of the
// input; what decodes, encodes, and decodes to the same again.
func FuzzDecodeFact(f *testing.F) {
	for _, fact := range slices.Concat(sampleFacts(), sampleOffsets(), sampleAnyOffsets(), sampleKeyed(),
		sampleMerges(), sampleKinds(), sampleSettings(), sampleConfigs(), sampleTransactions(), sampleAtomic()) {
		f.Add(AppendFact(nil, fact))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fact, err := DecodeFact(b)
		if err != nil {
			return
		}
		once := AppendFact(nil, fact)
		again, err := DecodeFact(once)
		if err != nil {
			t.Fatalf("what was decoded cannot be: %v", err)
		}
		if !bytes.Equal(AppendFact(nil, again), once) {
			t.Fatal("not the same again")
		}
	})
}

// FuzzDescribe: no object makes the decoders or Describe panic, whatever its key. The CRC is made
// right, so that the fuzzer gets behind it. What decodes, encodes, and decodes to the same again.
func FuzzDescribe(f *testing.F) {
	all := samples(f)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f.Add(all[name].key, all[name].object[:len(all[name].object)-crcLen])
	}
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		object := appendCRC(bytes.Clone(b))
		if err := Describe(&bytes.Buffer{}, key, object); err != nil {
			return
		}
		var once, again []byte
		if o, err := decodeJournalObject(object); err == nil {
			once = o.encode()
			if o, err = decodeJournalObject(once); err == nil {
				again = o.encode()
			}
		} else if o, err := decodeSnapshotObject(object); err == nil {
			once = o.encode()
			if o, err = decodeSnapshotObject(once); err == nil {
				again = o.encode()
			}
		} else if o, err := decodeIndexObject(object); err == nil {
			once = o.encode()
			if o, err = decodeIndexObject(once); err == nil {
				again = o.encode()
			}
		} else if o, err := decodeIncarnationObject(object); err == nil {
			once = o.encode()
			if o, err = decodeIncarnationObject(once); err == nil {
				again = o.encode()
			}
		}
		if once == nil || !bytes.Equal(once, again) {
			t.Fatal("not the same again")
		}
	})
}
