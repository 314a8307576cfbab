package coordinator

import (
	"reflect"
	"testing"
)

// What topics remember of their replicas reads back, and what this version does not understand is
// nothing.
func TestDeclaredReplicas(t *testing.T) {
	for text, want := range map[string]Assignment{
		"1:2,2:3": {{1, 2}, {2, 3}}, "5": {{5}}, ",,7:1": {nil, nil, {7, 1}}, "": {nil},
		"1:x": nil, "1:": nil, "4294967296": nil, "-1": nil,
	} {
		got := parseAssignment(text)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
		if want != nil && got.String() != text {
			t.Errorf("%v is %q, want %q", got, got, text)
		}
	}
	a := Assignment{{1}}.With(3, []int32{2})
	fact := &TopicFact{Name: "t", Configs: map[string]string{"retention.ms": "1", "firn.of.a.later.version": "1"}}
	for name, value := range DeclareReplicas(2, a) {
		fact.Configs[name] = *value
	}
	topic := shown(fact)
	if topic.ReplicationFactor != 2 || topic.Assignment.String() != "1,,,2" || len(topic.Configs) != 1 {
		t.Errorf("the topic is %+v", topic)
	}
	if change := DeclareReplicas(3, nil); change[ReplicaAssignmentConfig] != nil {
		t.Errorf("without an assignment one is set: %q", *change[ReplicaAssignmentConfig])
	}
}
