package kafka_test

import (
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
)

// The whole life of a topic in the hands of an admin client, which chooses versions and brokers for
// itself.
func TestAdminClient(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	admin, ctx := f.admin(t), t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	created, err := admin.CreateTopic(ctx, 2, 3, map[string]*string{"retention.ms": new("1000")}, "life")
	must("create", err)
	if created.NumPartitions != 2 || created.ReplicationFactor != 3 || *created.Configs["retention.ms"].Value != "1000" {
		t.Errorf("created %+v", created)
	}
	_, err = admin.UpdatePartitions(ctx, 3, "life")
	must("grow", err)
	topics, err := admin.ListTopics(ctx)
	must("list", err)
	if got := topics["life"]; len(got.Partitions) != 3 || got.ID != created.ID {
		t.Errorf("topic %+v", got)
	}
	_, err = admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}}, "life")
	must("alter", err)
	configs, err := admin.DescribeTopicConfigs(ctx, "life")
	must("describe configs", err)
	for _, c := range configs[0].Configs {
		if c.Key == "retention.ms" && *c.Value != "604800000" {
			t.Errorf("config %+v", c)
		}
	}

	at := time.Now().Add(-time.Minute)
	f.produce(t, "life", 2, at, "0", "1", "2", "3")
	ends, err := admin.ListEndOffsets(ctx, "life")
	must("list ends", err)
	found, err := admin.ListOffsetsAfterMilli(ctx, at.UnixMilli()+2, "life")
	must("list by time", err)
	if end, _ := ends.Lookup("life", 2); end.Offset != 4 {
		t.Errorf("end %+v", end)
	}
	if third, _ := found.Lookup("life", 2); third.Offset != 2 || third.Timestamp != at.UnixMilli()+2 {
		t.Errorf("third record %+v", third)
	}
	var offsets kadm.Offsets
	offsets.AddOffset("life", 2, 3, -1)
	deleted, err := admin.DeleteRecords(ctx, offsets)
	must("delete records", err)
	if got, _ := deleted.Lookup("life", 2); got.LowWatermark != 3 || got.Err != nil {
		t.Errorf("records deleted %+v", got)
	}
	starts, err := admin.ListStartOffsets(ctx, "life")
	must("list starts", err)
	if start, _ := starts.Lookup("life", 2); start.Offset != 3 {
		t.Errorf("start %+v", start)
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, nil)
	must("log directories", err)
	if p, ok := dirs[7].Lookup("/bucket", "life", 2); !ok || p.Size == 0 {
		t.Errorf("log directories %+v", dirs)
	}
	cluster, err := admin.BrokerMetadata(ctx)
	must("metadata", err)
	if cluster.Controller != 7 || len(cluster.Brokers) != 1 || cluster.Cluster != f.node.View().ClusterID() {
		t.Errorf("cluster %+v", cluster)
	}
	gone, err := admin.DeleteTopic(ctx, "life")
	must("delete", err)
	if gone.ID != created.ID || f.node.View().Topic("life") != nil {
		t.Errorf("deleted %+v", gone)
	}
}
