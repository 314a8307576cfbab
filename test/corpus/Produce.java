import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Writes the records of the corpus with Java's client. usage: java -cp JARS Produce.java ADDRESS */
public class Produce {
    public static void main(String[] args) throws Exception {
        String[][] codecs = {{"none", null}, {"gzip", null}, {"gzip", "9"}, {"snappy", null}, {"lz4", null}, {"lz4", "17"}, {"zstd", null}, {"zstd", "1"}, {"zstd", "19"}, {"zstd", "22"}};
        for (String[] codec : codecs) {
            for (Map.Entry<String, Integer> size : Map.of("small", 200, "large", 1500).entrySet()) {
                Map<String, Object> config = new java.util.HashMap<>(Map.of("bootstrap.servers", args[0], "compression.type", codec[0], "linger.ms", 500,
                    "batch.size", 1 << 20, "enable.idempotence", size.getKey().equals("large")));
                if (codec[1] != null) {
                    config.put("compression." + codec[0] + ".level", codec[1]);
                }
                String topic = "kafka-clients-" + codec[0] + (codec[1] == null ? "" : codec[1]) + "-" + size.getKey();
                try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
                    for (int i = 0; i < size.getValue(); i++) {
                        String value = "{\"id\":" + i + ",\"name\":\"alice\",\"tags\":[\"a\",\"b\",\"c\"],\"ok\":true}";
                        producer.send(new ProducerRecord<>(topic, ("k" + i).getBytes(), value.getBytes()));
                    }
                }
            }
        }
    }
}
