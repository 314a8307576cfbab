import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.source.ExactlyOnceSupport;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;

/**
 * A source that counts: each lane is a key, whose records are 1, 2, 3 … up to a number. Where a lane stands is in
 * Connect's offsets alone.
 */
public final class Numbers extends SourceConnector {
  private Map<String, String> config;

  @Override
  public void start(Map<String, String> config) {
    this.config = config;
  }

  @Override
  public Class<? extends Task> taskClass() {
    return Lanes.class;
  }

  @Override
  public List<Map<String, String>> taskConfigs(int tasks) {
    List<Map<String, String>> all = new ArrayList<>();
    for (int task = 0; task < tasks; task++) {
      Map<String, String> one = new HashMap<>(config);
      one.put("first", Integer.toString(task));
      one.put("tasks", Integer.toString(tasks));
      all.add(one);
    }
    return all;
  }

  @Override
  public ExactlyOnceSupport exactlyOnceSupport(Map<String, String> config) {
    return ExactlyOnceSupport.SUPPORTED;
  }

  @Override
  public void stop() {}

  @Override
  public ConfigDef config() {
    return new ConfigDef();
  }

  @Override
  public String version() {
    return "1";
  }

  /** A task has each of its lanes count in turn. */
  public static final class Lanes extends SourceTask {
    private static final int AT_ONCE = 5;

    private final Map<String, Long> lanes = new HashMap<>();
    private String topic;
    private long last;

    @Override
    public void start(Map<String, String> config) {
      topic = config.get("topic");
      last = Long.parseLong(config.get("last"));
      int tasks = Integer.parseInt(config.get("tasks"));
      for (int i = Integer.parseInt(config.get("first")); i < Integer.parseInt(config.get("lanes")); i += tasks) {
        String lane = "lane" + i;
        Map<String, Object> offset = context.offsetStorageReader().offset(Map.of("lane", lane));
        lanes.put(lane, offset == null ? 0 : (Long) offset.get("number"));
      }
    }

    @Override
    public List<SourceRecord> poll() throws InterruptedException {
      Thread.sleep(20);
      List<SourceRecord> records = new ArrayList<>();
      for (String lane : lanes.keySet()) {
        for (long n = lanes.get(lane) + 1, end = Math.min(last, n + AT_ONCE - 1); n <= end; n++) {
          records.add(
              new SourceRecord(Map.of("lane", lane), Map.of("number", n), topic, null,
                  Schema.STRING_SCHEMA, lane, Schema.STRING_SCHEMA, Long.toString(n)));
          lanes.put(lane, n);
        }
      }
      return records.isEmpty() ? null : records;
    }

    @Override
    public void stop() {}

    @Override
    public String version() {
      return "1";
    }
  }
}
