// Package clients drives a server with clients that no other test needs.
package clients

import (
	"testing"

	"github.com/IBM/sarama"

	"firn.dev/test/process/processtest"
)

// The common Terraform provider is made of sarama: what it declares, reads back and alters, through
// sarama itself.
func TestSaramaReadsBackWhatItDeclared(t *testing.T) {
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	client, err := sarama.NewClient([]string{processtest.Firn(t).Kafka()}, config)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() }) // and the client with it
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	want := func(when string, replicas int) {
		t.Helper()
		must("refreshing", client.RefreshMetadata("log"))
		for p := range int32(2) {
			all, err := client.Replicas("log", p)
			must("Replicas", err)
			in, err := client.InSyncReplicas("log", p)
			must("InSyncReplicas", err)
			if len(all) != replicas || len(in) != replicas {
				t.Errorf("%s partition %d has replicas %v, in sync %v; want %d", when, p, all, in, replicas)
			}
		}
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "log"})
		must("DescribeConfig", err)
		for _, e := range entries {
			declared := e.Name == "retention.ms" || e.Name == "min.insync.replicas"
			if declared == (e.Source == sarama.SourceDefault) {
				t.Errorf("%s config %s has source %s", when, e.Name, e.Source)
			}
		}
		status, err := admin.ListPartitionReassignments("log", []int32{0, 1})
		must("ListPartitionReassignments", err)
		if len(status) > 0 {
			t.Errorf("%s reassignments are under way: %v", when, status)
		}
	}
	must("CreateTopic", admin.CreateTopic("log", &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 3,
		ConfigEntries: map[string]*string{"retention.ms": new("604800000"), "min.insync.replicas": new("2")}}, false))
	want("created", 3)
	must("AlterPartitionReassignments", admin.AlterPartitionReassignments("log", [][]int32{{1, 2}, {2, 1}}))
	want("altered", 2)
	must("IncrementalAlterConfig", admin.IncrementalAlterConfig(sarama.TopicResource, "log",
		map[string]sarama.IncrementalAlterConfigsEntry{
			"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: new("1000")}}, false))
	want("configured", 2)
	must("AlterConfig", admin.AlterConfig(sarama.TopicResource, "log",
		map[string]*string{"retention.ms": new("2000"), "min.insync.replicas": new("1")}, false))
	want("configured wholly", 2)
}
