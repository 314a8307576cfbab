package kafka_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/accesstest"
	"firn.dev/kafka"
)

// logged collects what is logged, as text.
type logged struct{ lines chan string }

func (l logged) Write(p []byte) (int, error) {
	l.lines <- string(p)
	return len(p), nil
}

// Each change that an administrator asks for leaves a line that says what, who and with what
// result; what is refused, as well. Passwords are in none.
func TestAuditLog(t *testing.T) {
	log := logged{make(chan string, 10_000)}
	g := accesstest.NewGuard()
	f := startFirn(t, kafka.Options{Authorizer: g, Logger: slog.New(slog.NewTextHandler(log, nil))})
	admin := f.admin(t)
	f.createTopic(t, "log", 1)
	f.produce(t, "log", 0, time.Now(), "a", "b")
	steps := []error{}
	step := func(err error) { steps = append(steps, err) }
	_, err := admin.CreatePartitions(t.Context(), 1, "log")
	step(err)
	retention := kadm.AlterConfig{Name: "retention.ms", Value: new("1000")}
	_, err = admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{retention}, "log")
	step(err)
	offsets := kadm.Offsets{}
	offsets.AddOffset("log", 0, 1, -1)
	_, err = admin.DeleteRecords(t.Context(), offsets)
	step(err)
	_, err = admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{
		{User: "alice", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "hunter22"}})
	step(err)
	_, err = admin.DeleteGroups(t.Context(), "nobody")
	step(err)
	_, err = admin.DeleteTopics(t.Context(), "log")
	step(err)
	ask[*kmsg.AlterUserSCRAMCredentialsResponse](t, f, &kmsg.AlterUserSCRAMCredentialsRequest{
		Upsertions: []upsertion{{Name: "eve", Mechanism: 1, Iterations: 1}}})
	for i, err := range steps {
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	g.Set(func(operation access.Operation, _ access.Resource) bool { return operation != access.Delete })
	ask[*kmsg.DeleteTopicsResponse](t, f, &kmsg.DeleteTopicsRequest{Version: 1, TopicNames: []string{"theirs"}})

	var text strings.Builder
	for range len(log.lines) {
		text.WriteString(<-log.lines)
	}
	const by = " principal=User:ANONYMOUS host=127.0.0.1"
	for _, want := range []string{
		`action=CreateTopics subject=log result=done` + by,
		`action=CreatePartitions subject=log result=done` + by,
		`action=AlterConfigs subject=log result=done` + by,
		`action=DeleteRecords subject="log/0 before offset 1" result=done` + by,
		`action=AlterUserScramCredentials subject=alice result=done` + by,
		`action=AlterUserScramCredentials subject=eve result="UNACCEPTABLE_CREDENTIAL`,
		`action=DeleteGroups subject=nobody result="GROUP_ID_NOT_FOUND`,
		`action=DeleteTopics subject=log result=done` + by,
		`action=Delete subject="Topic \"theirs\"" result=refused` + by,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no line has %s", want)
		}
	}
	if strings.Contains(text.String(), "hunter22") {
		t.Error("a password was logged")
	}
	if t.Failed() {
		t.Log(text.String())
	}
}
