package main

import "testing"

// TestCostly: those that have advice are shown, with rates.
func TestCostly(t *testing.T) {
	list, err := costly([]byte(`{"node": 2, "producers": [
		{"client_id": "fine", "seconds": 300, "requests": 10, "records": 1000, "bytes": 1000, "advice": []},
		{"client_id": "app", "seconds": 100, "requests": 10000, "records": 20000, "bytes": 1024000,
			"advice": [{"config": "linger.ms", "text": "wait"}, {"config": "compression.type", "text": "shrink"}]}]}`))
	want := costlyProducer{Producer: "app", Node: 2, Requests: 100, Records: 2, In: 10240, Advice: "wait; shrink"}
	if err != nil || len(list) != 1 || list[0] != want {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := costly([]byte("404 page not found")); err == nil {
		t.Error("what is no list is one")
	}
}
