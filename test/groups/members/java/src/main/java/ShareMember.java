import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;

/**
 * A member of a share group on Apache Kafka's own client. It releases some records when they are delivered for the first
 * time, and accepts all others. Each line begins with nanoseconds and ends with a point, so that one cut short is known:
 *
 * <ul>
 *   <li>{@code D 0/7/1/1234+ 0/8/1/1235-}: delivered are, with partition, offset, count and value, records that it is
 *       about to accept (+) or release (-)
 *   <li>{@code C 0:InvalidRecordStateException}: the answer, with the partitions of which it was an error
 *   <li>{@code E DisconnectException}: an error that it was shown otherwise
 * </ul>
 *
 * <p>java -cp 'lib/*' ShareMember BOOTSTRAP GROUP TOPIC
 */
public final class ShareMember {
  private static volatile boolean stopping;

  private static void say(StringBuilder line) {
    Instant now = Instant.now();
    line.insert(0, now.getEpochSecond() * 1_000_000_000L + now.getNano() + " ").append(" .");
    System.out.println(line);
    System.out.flush();
  }

  private static String name(Exception e) {
    return e.getClass().getSimpleName();
  }

  private static void work(KafkaShareConsumer<byte[], byte[]> consumer) throws InterruptedException {
    var records = consumer.poll(Duration.ofMillis(500));
    if (records.isEmpty()) return;
    StringBuilder delivered = new StringBuilder("D");
    for (ConsumerRecord<byte[], byte[]> r : records) {
      int count = r.deliveryCount().get();
      boolean release = count == 1 && r.offset() % 100 == 7;
      consumer.acknowledge(r, release ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT);
      delivered.append(' ').append(r.partition()).append('/').append(r.offset()).append('/').append(count).append('/')
          .append(new String(r.value())).append(release ? '-' : '+');
    }
    say(delivered); // before the server hears of it
    Thread.sleep(100); // for as long it is at work
    StringBuilder answer = new StringBuilder("C");
    consumer.commitSync().forEach((partition, error) ->
        error.ifPresent(e -> answer.append(' ').append(partition.partition()).append(':').append(name(e))));
    say(answer);
  }

  public static void main(String[] args) throws Exception {
    Properties p = new Properties();
    p.put("bootstrap.servers", args[0]);
    p.put("group.id", args[1]);
    p.put("share.acknowledgement.mode", "explicit");
    p.put("metadata.max.age.ms", "5000");
    p.put("key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
    p.put("value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
    Member.atEnd(() -> stopping = true);
    try (KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(p)) {
      consumer.subscribe(List.of(args[2]));
      while (!stopping) {
        try {
          work(consumer);
        } catch (KafkaException e) {
          say(new StringBuilder("E ").append(name(e)));
        }
      }
    }
  }
}
