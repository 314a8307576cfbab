// Command corpus captures record batches as other people's clients send them: it is a broker that
// writes the batches of each Produce into files named after their topics, and it produces with the
// clients that are written in Go. generate.sh runs it beside the other clients; README.md says what
// comes of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: corpus DIRECTORY; it ends when standard input does")
		os.Exit(2)
	}
	if err := capture(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

// capture serves until standard input ends, and says on standard output where.
func capture(dir string) error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	if err != nil {
		return err
	}
	defer cluster.Close()
	w := writer{dir: dir, names: map[[16]byte]string{}}
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		w.take(cluster, req.(*kmsg.ProduceRequest))
		return nil, nil, false
	})
	address := cluster.ListenAddrs()[0]
	if err := errors.Join(franz(address), saramas(address)); err != nil {
		return err
	}
	fmt.Println(address)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, w.failed)
}

// writer appends batches to files.
type writer struct {
	mu     sync.Mutex
	dir    string
	names  map[[16]byte]string
	failed error
}

func (w *writer) take(cluster *kfake.Cluster, req *kmsg.ProduceRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range req.Topics {
		name := t.Topic
		if name == "" {
			info := cluster.TopicIDInfo(t.TopicID)
			name = info.Topic
		}
		for _, p := range t.Partitions {
			f, err := os.OpenFile(filepath.Join(w.dir, name+".batches"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err == nil {
				_, err = f.Write(p.Records)
				err = errors.Join(err, f.Close())
			}
			w.failed = errors.Join(w.failed, err)
		}
	}
}

// records are what every client writes: keys k0, k1, ... and values that shrink more than fourfold.
func records(n int) (keys, values []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("k%d", i))
		values = append(values, fmt.Sprintf(`{"id":%d,"name":"alice","tags":["a","b","c"],"ok":true}`, i))
	}
	return keys, values
}

// sizes are how many records there are in the topics whose names end so.
var sizes = map[string]int{"small": 200, "large": 1500}

func franz(address string) error {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "gzip9": kgo.GzipCompression().WithLevel(9),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(), "zstd19": kgo.ZstdCompression().WithLevel(19),
	} {
		for size, n := range sizes {
			topic := strings.Join([]string{"franz-go", name, size}, "-")
			client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic),
				kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(100_000_000))
			if err != nil {
				return err
			}
			keys, values := records(n)
			for i := range keys {
				client.Produce(context.Background(), &kgo.Record{Key: []byte(keys[i]), Value: []byte(values[i])}, nil)
			}
			err = client.Flush(context.Background())
			client.Close()
			if err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
		}
	}
	return nil
}

func saramas(address string) error {
	for name, codec := range map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4":  sarama.CompressionLZ4,
		"zstd": sarama.CompressionZSTD,
	} {
		for size, n := range sizes {
			topic := strings.Join([]string{"sarama", name, size}, "-")
			c := sarama.NewConfig()
			c.Version = sarama.V2_8_0_0
			c.Producer.Compression, c.Producer.Return.Successes, c.Producer.RequiredAcks = codec, true, sarama.WaitForAll
			client, err := sarama.NewSyncProducer([]string{address}, c)
			if err != nil {
				return err
			}
			keys, values := records(n)
			messages := make([]*sarama.ProducerMessage, n)
			for i := range messages {
				messages[i] = &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(keys[i]),
					Value: sarama.StringEncoder(values[i])}
			}
			if err := errors.Join(client.SendMessages(messages), client.Close()); err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
		}
	}
	return nil
}
