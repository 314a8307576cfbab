package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

// streams is Kafka Streams with exactly_once_v2: two instances of streams/src/main/java/Words.java
// count words, while they, the nodes and Redis are struck. Each count of a word is a record, so a
// reader of committed records has to see 1, 2, 3 … of every word: no count twice, none left out.
type streams struct {
	cluster   *cluster
	lib       string // Words and its jars
	dir       string // the instances' state
	words     int
	strikes   int
	random    *rand.Rand
	log       io.Writer
	instances [2]*process.Process

	wrote map[string]int // of each word
	read  map[string]int // its newest count
	sum   int            // counts that were read
}

const (
	lineTopic, countTopic = "lines", "counts"
	wordsInLine           = 5
	vocabulary            = 200
	// wordsAhead is how many words are written before their counts were read. So the strikes hit a
	// program that is at work.
	wordsAhead = 2000
	// streamsPatience is how long no count may come: a session, a transaction's timeout, a start.
	streamsPatience = 2 * time.Minute
)

func (s *streams) run(ctx context.Context) (took time.Duration, err error) {
	s.wrote, s.read = map[string]int{}, map[string]int{}
	if err := s.cluster.create(ctx, 4, lineTopic, countTopic); err != nil {
		return 0, err
	}
	client, err := s.cluster.client(kgo.DefaultProduceTopic(lineTopic), kgo.ConsumeTopics(countTopic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	defer func() {
		for _, p := range s.instances {
			if p != nil {
				p.Kill()
			}
		}
	}()
	for i := range s.instances {
		if err := s.startInstance(i); err != nil {
			return 0, err
		}
	}
	began, written, struck := time.Now(), 0, 0
	for s.sum < s.words {
		if struck < s.strikes && s.sum >= s.words*(struck+1)/(s.strikes+1) {
			if err := s.strike(ctx, struck); err != nil {
				return 0, err
			}
			struck++
		}
		n := min(s.words, s.sum+wordsAhead) - written
		if err := s.write(ctx, client, n); err != nil {
			return 0, err
		}
		written += max(n, 0)
		if err := s.poll(ctx, client); err != nil {
			return 0, err
		}
	}
	took = time.Since(began)
	return took, errors.Join(s.quiet(ctx, client), s.compare())
}

// write writes lines of n words.
func (s *streams) write(ctx context.Context, client *kgo.Client, n int) error {
	var lines []*kgo.Record
	for ; n > 0; n -= wordsInLine {
		var line []string
		for range min(n, wordsInLine) {
			word := fmt.Sprint("word", s.random.IntN(vocabulary))
			s.wrote[word]++
			line = append(line, word)
		}
		lines = append(lines, kgo.StringRecord(strings.Join(line, " ")))
	}
	return client.ProduceSync(ctx, lines...).FirstErr()
}

// poll reads some counts.
func (s *streams) poll(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, streamsPatience)
	defer cancel()
	fetches := client.PollFetches(ctx)
	if err := fetches.Err0(); err != nil {
		return fmt.Errorf("%d of %d words are counted, and then nothing: %w\n%s\n%s", s.sum, s.words, err,
			s.instances[0].Output(), s.instances[1].Output())
	}
	var wrong error
	fetches.EachRecord(func(r *kgo.Record) {
		word := string(r.Key)
		count, err := strconv.Atoi(string(r.Value))
		if err == nil && count != s.read[word]+1 {
			err = fmt.Errorf("the count of %s goes from %d to %d, at offset %d of partition %d", word, s.read[word], count,
				r.Offset, r.Partition)
		}
		wrong = errors.Join(wrong, err)
		s.read[word] = count
		s.sum++
	})
	return wrong
}

// quiet sees that no count comes after the last one.
func (s *streams) quiet(ctx context.Context, client *kgo.Client) error {
	for i := range s.instances { // a transaction in flight is aborted, or committed
		ended, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := s.instances[i].Terminate(ended)
		cancel()
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if more := client.PollFetches(ctx).NumRecords(); more > 0 {
		return fmt.Errorf("all %d words were counted, and then %d more", s.words, more)
	}
	return nil
}

func (s *streams) compare() (wrong error) {
	for word, n := range s.wrote {
		if got := s.read[word]; got != n {
			wrong = errors.Join(wrong, fmt.Errorf("%s was written %d times and is counted %d times", word, n, got))
		}
	}
	return wrong
}

// strike kills an instance, or a node, or wipes Redis, in turn; instances most often.
func (s *streams) strike(ctx context.Context, n int) error {
	switch {
	case n%2 == 0:
		i := s.random.IntN(len(s.instances))
		fmt.Fprintf(s.log, "streams: after %d words, kill -9 of instance %d\n", s.sum, i)
		s.instances[i].Kill()
		return s.startInstance(i)
	case n%4 == 3 && s.cluster.redis != nil:
		fmt.Fprintf(s.log, "streams: after %d words, Redis is wiped\n", s.sum)
		r := redis.NewClient(&redis.Options{Addr: s.cluster.redis.Addr})
		defer r.Close()
		return r.FlushAll(ctx).Err()
	}
	i := s.random.IntN(len(s.cluster.nodes))
	fmt.Fprintf(s.log, "streams: after %d words, kill -9 of node %d\n", s.sum, i+1)
	s.cluster.nodes[i].Kill()
	return s.cluster.startNode(ctx, i)
}

func (s *streams) startInstance(i int) (err error) {
	s.instances[i], err = process.Start(process.Spec{Command: []string{"java", "-Xmx256m", "-XX:+UseSerialGC",
		"-XX:TieredStopAtLevel=1", "-cp", filepath.Join(s.lib, "*"), "Words", s.cluster.bootstrap(), "words", lineTopic,
		countTopic, filepath.Join(s.dir, fmt.Sprint("instance", i))}})
	return err
}
