// Writes what Apache Kafka's StandardAuthorizer answers: see README.md. usage: java -cp 'jars/*' Generate.java >answers

import java.lang.reflect.Proxy;
import java.net.InetAddress;
import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.metrics.internals.PluginMetricsImpl;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.metadata.authorizer.*;
import org.apache.kafka.server.authorizer.*;

public class Generate {
    static final Random random = new Random(14);
    static final int SETS = 250, REQUESTS = 24, ANY = 6;

    static final ResourceType[] types = {ResourceType.TOPIC, ResourceType.TOPIC, ResourceType.GROUP, ResourceType.CLUSTER,
        ResourceType.TRANSACTIONAL_ID, ResourceType.DELEGATION_TOKEN, ResourceType.USER};
    static final String[] names = {"a", "ab", "abc", "abd", "abcde", "b", "b.c", "b.cd", "b.d", "z", "hardcode", "hard", "*", "ä", "äö"};
    static final String[] principals = {"User:alice", "User:bob", "User:carol", "Group:alice", "User:CN=x,O=y", "User:*"};
    static final String[] hosts = {"10.0.0.1", "10.0.0.2", "0:0:0:0:0:0:0:1"};

    static <T> T one(T[] of) { return of[random.nextInt(of.length)]; }

    static AclOperation operation(boolean all) {
        // The first two numbers are UNKNOWN and ANY, which neither ACLs nor requests have; the third is ALL.
        return AclOperation.fromCode((byte) (all ? 2 + random.nextInt(14) : 3 + random.nextInt(13)));
    }

    // Most ACLs and requests are about little, so that they meet.
    static AclOperation common(boolean all) {
        AclOperation[] few = {AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE, AclOperation.ALTER_CONFIGS,
            AclOperation.DESCRIBE_CONFIGS};
        return random.nextInt(3) > 0 ? one(few) : operation(all);
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < SETS; i++) set(i);
    }

    static void set(int number) throws Exception {
        boolean everyone = random.nextInt(3) == 0;
        String[] supers = {"", "User:bob", "User:bob;User:CN=x,O=y", "Group:alice"};
        String superUsers = one(supers);
        StandardAuthorizer authorizer = new StandardAuthorizer();
        authorizer.configure(Map.of("super.users", superUsers, "allow.everyone.if.no.acl.found", "" + everyone));
        authorizer.withPluginMetrics(new PluginMetricsImpl(new Metrics(), Map.of()));
        authorizer.start(new Info()).values().forEach(f -> { });
        System.out.printf("set\t%s\t%s%n", everyone, superUsers);
        Map<Uuid, StandardAcl> acls = new HashMap<>();
        int size = number < 20 ? number / 2 : random.nextInt(40);
        for (int i = 0; i < size; i++) {
            ResourceType type = one(types);
            boolean cluster = type == ResourceType.CLUSTER;
            StandardAcl acl = new StandardAcl(type, cluster ? "kafka-cluster" : one(names),
                random.nextBoolean() || cluster ? PatternType.LITERAL : PatternType.PREFIXED, one(principals),
                random.nextInt(3) > 0 ? "*" : one(hosts), common(true),
                random.nextInt(4) > 0 ? AclPermissionType.ALLOW : AclPermissionType.DENY);
            if (acls.containsValue(acl)) continue;
            acls.put(Uuid.randomUuid(), acl);
            System.out.printf("acl\t%d\t%s\t%d\t%s\t%s\t%d\t%d%n", acl.resourceType().code(), acl.resourceName(),
                acl.patternType().code(), acl.principal(), acl.host(), acl.operation().code(), acl.permissionType().code());
        }
        authorizer.loadSnapshot(acls);
        authorizer.completeInitialLoad();
        for (int i = 0; i < REQUESTS + ANY; i++) request(authorizer, i >= REQUESTS);
    }

    static void request(StandardAuthorizer authorizer, boolean any) throws Exception {
        String principal = one(Arrays.copyOf(principals, principals.length - 1)), host = one(hosts);
        ResourceType type = one(types);
        String name = type == ResourceType.CLUSTER ? "kafka-cluster" : one(names);
        AclOperation operation = common(false);
        AuthorizableRequestContext context = (AuthorizableRequestContext) Proxy.newProxyInstance(Generate.class.getClassLoader(),
            new Class<?>[] {AuthorizableRequestContext.class}, (proxy, method, a) -> switch (method.getName()) {
                case "principal" -> new KafkaPrincipal(principal.split(":")[0], principal.split(":")[1]);
                case "clientAddress" -> InetAddress.getByName(host);
                case "requestType" -> 0;
                default -> null;
            });
        AuthorizationResult result = any
            ? authorizer.authorizeByResourceType(context, operation, type)
            : authorizer.authorize(context, List.of(new Action(operation, new ResourcePattern(type, name, PatternType.LITERAL), 1,
                false, false))).get(0);
        System.out.printf("%s\t%s\t%s\t%d\t%s\t%d\t%s%n", any ? "any" : "may", principal, host, type.code(), any ? "" : name,
            operation.code(), result == AuthorizationResult.ALLOWED);
    }

    static class Info implements AuthorizerServerInfo {
        public org.apache.kafka.common.ClusterResource clusterResource() { return new org.apache.kafka.common.ClusterResource("c"); }
        public int brokerId() { return 0; }
        public Collection<org.apache.kafka.common.Endpoint> endpoints() { return List.of(); }
        public org.apache.kafka.common.Endpoint interBrokerEndpoint() { return null; }
        public Collection<String> earlyStartListeners() { return List.of(); }
    }
}
