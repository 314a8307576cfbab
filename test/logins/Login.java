import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Writes a record and reads it back, by each way to log in: Login SETTINGS, see logins_test.go. */
public class Login {
    static final String MODULES = "org.apache.kafka.common.security.";

    public static void main(String[] args) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            int at = line.indexOf('=');
            settings.put(line.substring(0, at), line.substring(at + 1));
        }
        var running = new ArrayList<CompletableFuture<Void>>();
        for (String way : settings.get("modes").split(" ")) {
            running.add(CompletableFuture.runAsync(() -> roundTrip(way, settings)));
        }
        running.forEach(CompletableFuture::join);
    }

    static Map<String, Object> config(String way, Map<String, String> settings) {
        Map<String, Object> config = new HashMap<>();
        config.put("ssl.truststore.type", "PEM");
        config.put("ssl.truststore.location", settings.get("ca"));
        if (way.equals("certificate")) {
            config.put("bootstrap.servers", settings.get("tls"));
            config.put("security.protocol", "SSL");
            config.put("ssl.keystore.type", "PEM");
            config.put("ssl.keystore.location", settings.get("keystore"));
            return config;
        }
        config.put("bootstrap.servers", settings.get("sasl"));
        config.put("security.protocol", "SASL_SSL");
        config.put("sasl.mechanism", way);
        String password = settings.get("password").replace("\\", "\\\\").replace("\"", "\\\"");
        String login = " required username=\"" + settings.get("user") + "\" password=\"" + password + "\";";
        if (way.equals("OAUTHBEARER")) {
            config.put("sasl.oauthbearer.token.endpoint.url", "file://" + settings.get("token"));
            config.put("sasl.login.callback.handler.class", MODULES + "oauthbearer.OAuthBearerLoginCallbackHandler");
            config.put("sasl.jaas.config", MODULES + "oauthbearer.OAuthBearerLoginModule required;");
        } else if (way.equals("PLAIN")) {
            config.put("sasl.jaas.config", MODULES + "plain.PlainLoginModule" + login);
        } else {
            config.put("sasl.jaas.config", MODULES + "scram.ScramLoginModule" + login);
        }
        return config;
    }

    static void roundTrip(String way, Map<String, String> settings) {
        String topic = settings.get(way), value = "java " + way;
        Map<String, Object> config = config(way, settings);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(topic, value));
            producer.flush();
        }
        config.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            for (boolean found = false; !found; ) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    found |= record.value().equals(value);
                }
            }
        }
    }
}
