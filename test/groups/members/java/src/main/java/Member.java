import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * A member of a consumer group on Apache Kafka's own client. See ../../../../../README.md for what members print.
 *
 * <p>java -cp 'lib/*' Member BOOTSTRAP GROUP TOPIC classic|consumer ASSIGNOR
 */
public final class Member {
  private static volatile boolean stopping;

  private static synchronized void say(String line) {
    Instant now = Instant.now();
    System.out.println(now.getEpochSecond() * 1_000_000_000L + now.getNano() + " " + line);
    System.out.flush();
  }

  private static String numbers(Collection<TopicPartition> partitions) {
    return partitions.stream().map(p -> Integer.toString(p.partition())).collect(Collectors.joining(","));
  }

  /** What was processed and is not committed yet. */
  private static final Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();

  /** What cannot be committed now, in the middle of a rebalance, is committed after the next poll, or when it is revoked. */
  private static void commit(KafkaConsumer<byte[], byte[]> consumer) {
    if (done.isEmpty()) return;
    try {
      consumer.commitSync(done);
      done.clear();
    } catch (CommitFailedException e) {
      say("E CommitFailed"); // the group went on without us: what was processed will be processed again
      done.clear();
    } catch (KafkaException e) {
      say("E " + e.getClass().getSimpleName());
    }
  }

  /** What is assigned and revoked is told as it changes: "+" and "V". */
  private static final class Told implements ConsumerRebalanceListener {
    private final KafkaConsumer<byte[], byte[]> consumer;

    Told(KafkaConsumer<byte[], byte[]> consumer) {
      this.consumer = consumer;
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> some) {
      say("+ " + numbers(some));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> some) {
      commit(consumer);
      say("V " + numbers(some));
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> some) {
      done.keySet().removeAll(some);
      say("V " + numbers(some));
    }
  }

  /** Runs something when the standard input ends: a member is told to leave. */
  static void atEnd(Runnable then) {
    Thread stdin = new Thread(() -> {
      try {
        System.in.readAllBytes();
      } catch (java.io.IOException e) {
        // the same as its end
      }
      then.run();
    });
    stdin.setDaemon(true);
    stdin.start();
  }

  public static void main(String[] args) throws Exception {
    String topic = args[2];
    Properties p = new Properties();
    p.put("bootstrap.servers", args[0]);
    p.put("group.id", args[1]);
    p.put("group.protocol", args[3]);
    p.put("enable.auto.commit", "false");
    p.put("auto.offset.reset", "earliest");
    p.put("metadata.max.age.ms", "5000");
    p.put("key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
    p.put("value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
    if (args[3].equals("consumer")) {
      p.put("group.remote.assignor", args[4]);
    } else {
      String name = Map.of("range", "RangeAssignor", "roundrobin", "RoundRobinAssignor", "sticky", "StickyAssignor", "cooperative-sticky", "CooperativeStickyAssignor").get(args[4]);
      p.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + name);
      p.put("session.timeout.ms", "10000");
      p.put("heartbeat.interval.ms", "500");
    }
    atEnd(() -> stopping = true);
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p)) {
      consumer.subscribe(List.of(topic), new Told(consumer));
      while (!stopping) {
        var batch = consumer.poll(Duration.ofMillis(100));
        if (!batch.isEmpty()) {
          for (ConsumerRecord<byte[], byte[]> r : batch) {
            say("P " + r.partition() + " " + r.offset());
            done.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
          }
        }
        commit(consumer);
      }
    }
    say("V *");
  }
}
