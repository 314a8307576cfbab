package kafka_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/accesstest"
	"firn.dev/kafka"
	"firn.dev/topics"
)

var refusals = []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
	kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed}

// Every version of every API asks for something that its row declares, unless it is open. When all
// is refused, the answer is an authorization error wherever it has room for one, or tells nothing.
func TestEveryAPIAsks(t *testing.T) {
	g := accesstest.NewGuard()
	f := startFirn(t, kafka.Options{Authorizer: g, Topics: topics.Options{AutoCreate: true}})
	for _, a := range kafka.APIs() {
		for version := a.Min; version <= a.Max; version++ {
			t.Run(fmt.Sprintf("%s/%d", a.Key.Name(), version), func(t *testing.T) {
				g.Set(accesstest.Everything)
				topic := f.createTopic(t, strings.ToLower(fmt.Sprintf("%s-%d", a.Key.Name(), version)), 3)
				req := kmsg.RequestForKey(int16(a.Key))
				fill(reflect.ValueOf(req).Elem(), topic)
				req.SetVersion(version)
				ordinary(req)
				g.Set(accesstest.Nothing)
				resp := ask[kmsg.Response](t, f, req)
				asked := g.Asked()
				if a.Open != (len(asked) == 0) {
					t.Errorf("open is %v, and it asked for %v", a.Open, asked)
				}
				for _, need := range asked {
					if !slices.Contains(a.Needs, need) {
						t.Errorf("it asked for %v, which its row does not declare", need)
					}
				}
				if !a.Open {
					checkRefused(t, resp, topic.Name)
				}
				if f.node.View().TopicByID(topic.ID) == nil {
					t.Error("the topic is gone")
				}
			})
		}
	}
}

// ordinary takes out of a request in which every field is set what is refused for other reasons.
func ordinary(req kmsg.Request) {
	answerable(req)
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		req.TransactionID = nil
	case *kmsg.InitProducerIDRequest:
		req.TransactionalID = nil
	case *kmsg.FetchRequest:
		req.SessionEpoch = -1 // a whole fetch
	case *kmsg.DeleteTopicsRequest:
		for i := range req.Topics {
			req.Topics[i].Topic = nil // or else by name and by id
		}
	}
}

// checkRefused looks at every error code of an answer.
func checkRefused(t *testing.T, resp kmsg.Response, name string) {
	t.Helper()
	found := 0
	eachErrorCode(reflect.ValueOf(resp).Elem(), "", func(path string, code int16) {
		switch err := kerr.TypedErrorForCode(code); {
		case slices.Contains(refusals, err):
			found++
		case code != 0 || strings.Contains(path, "["):
			t.Errorf("%s is %v", path, err)
		}
	})
	if found == 0 && bytes.Contains(resp.AppendTo(nil), []byte(name)) {
		t.Errorf("the answer names what was refused: %+v", resp)
	}
}

// eachErrorCode walks over the error codes of the innermost parts of an answer, and of what is not
// in a list.
func eachErrorCode(v reflect.Value, path string, do func(path string, code int16)) (found bool) {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && eachErrorCode(v.Elem(), path, do)
	case reflect.Slice:
		for i := range v.Len() {
			found = eachErrorCode(v.Index(i), fmt.Sprintf("%s[%d]", path, i), do) || found
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "UnknownTags" {
				found = eachErrorCode(v.Field(i), path+"."+v.Type().Field(i).Name, do) || found
			}
		}
		if code := v.FieldByName("ErrorCode"); code.IsValid() && (!found || path == "") {
			do(path+".ErrorCode", int16(code.Int()))
			found = true
		}
	}
	return found
}

// A client that may do something with one topic of two gets what it may, and an error for the
// other.
func TestOneOfTwoTopicsIsRefused(t *testing.T) {
	g := accesstest.NewGuard()
	f := startFirn(t, kafka.Options{Authorizer: g, Topics: topics.Options{AutoCreate: true}})
	mine, theirs := f.createTopic(t, "mine", 1), f.createTopic(t, "theirs", 1)
	g.Set(func(_ access.Operation, on access.Resource) bool { return on.Type != access.Topic || on.Name == "mine" })

	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 13
	if got := ask[*kmsg.MetadataResponse](t, f, metadata).Topics; len(got) != 1 || *got[0].Topic != "mine" {
		t.Errorf("all topics are %+v", got)
	}
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: new("mine")}, {Topic: new("theirs")}, {TopicID: theirs.ID}}
	named := ask[*kmsg.MetadataResponse](t, f, metadata).Topics
	wantCode(t, "Metadata of mine", named[0].ErrorCode, nil)
	wantCode(t, "Metadata of theirs", named[1].ErrorCode, kerr.TopicAuthorizationFailed)
	wantCode(t, "Metadata of theirs by id", named[2].ErrorCode, kerr.TopicAuthorizationFailed)
	if named[2].Topic != nil {
		t.Errorf("a topic that may not be described is named %q", *named[2].Topic)
	}

	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.MaxBytes = 18, 1<<20
	list := kmsg.NewPtrListOffsetsRequest()
	list.Version = 11
	for _, topic := range []struct {
		name string
		id   [16]byte
	}{{"mine", mine.ID}, {"theirs", theirs.ID}} {
		fetch.Topics = append(fetch.Topics, kmsg.FetchRequestTopic{TopicID: topic.id,
			Partitions: []kmsg.FetchRequestTopicPartition{{CurrentLeaderEpoch: -1, PartitionMaxBytes: 1 << 20}}})
		list.Topics = append(list.Topics, kmsg.ListOffsetsRequestTopic{Topic: topic.name,
			Partitions: []kmsg.ListOffsetsRequestTopicPartition{{CurrentLeaderEpoch: -1, Timestamp: latestOffset}}})
	}
	fetched := ask[*kmsg.FetchResponse](t, f, fetch).Topics
	listed := ask[*kmsg.ListOffsetsResponse](t, f, list).Topics
	for i, want := range []*kerr.Error{nil, kerr.TopicAuthorizationFailed} {
		wantCode(t, fmt.Sprintf("Fetch of topic %d", i), fetched[i].Partitions[0].ErrorCode, want)
		wantCode(t, fmt.Sprintf("ListOffsets of topic %d", i), listed[i].Partitions[0].ErrorCode, want)
	}
}

// Whoever may create anything in the cluster, or this topic, creates it; the configs are told to
// those that may describe them.
func TestCreateTopicsAsksForClusterOrTopic(t *testing.T) {
	g := accesstest.NewGuard()
	f := startFirn(t, kafka.Options{Authorizer: g})
	for name, c := range map[string]struct {
		allowed  accesstest.Rule
		want     *kerr.Error
		wantConf *kerr.Error
	}{
		"by-cluster": {func(op access.Operation, on access.Resource) bool {
			return op == access.Create && on == access.Resource{Type: access.Cluster, Name: access.ClusterName}
		}, nil, kerr.TopicAuthorizationFailed},
		"by-topic": {func(op access.Operation, on access.Resource) bool {
			return on == access.Resource{Type: access.Topic, Name: "by-topic"}
		}, nil, nil},
		"by-nothing": {accesstest.Nothing, kerr.TopicAuthorizationFailed, nil},
	} {
		g.Set(c.allowed)
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version = 7
		req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: 1, ReplicationFactor: 1}}
		got := ask[*kmsg.CreateTopicsResponse](t, f, req).Topics[0]
		wantCode(t, name, got.ErrorCode, c.want)
		wantCode(t, name+"'s configs", got.ConfigErrorCode, c.wantConf)
		if c.wantConf != nil && len(got.Configs) > 0 {
			t.Errorf("%s: configs are told that may not be described", name)
		}
	}
}
