package deploy

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// way is what a rule of a security group lets through: between the group and a peer, which is
// another group or an address.
type way struct {
	group, peer string
	from, to    int64
}

const (
	nodeGroup     = "aws_security_group.node"
	balancerGroup = "aws_security_group.balancer"
	redisGroup    = "aws_security_group.redis"
	manyNodes     = 3
)

// number evaluates an attribute with some nodes, once for each of them. Attributes that are the
// same for all give one number.
func number(t *testing.T, m module, b *hclsyntax.Block, name string) (values []int64) {
	t.Helper()
	var kafkaPort cty.Value
	for _, locals := range m.all("locals") {
		if locals.Body.Attributes["kafka_port"] != nil {
			kafkaPort = literal(t, locals, "kafka_port")
		}
	}
	expr := b.Body.Attributes[name].Expr
	for node := range int64(manyNodes) {
		value, problems := expr.Value(&hcl.EvalContext{Variables: map[string]cty.Value{
			"var":   cty.ObjectVal(map[string]cty.Value{"nodes": cty.NumberIntVal(manyNodes)}),
			"local": cty.ObjectVal(map[string]cty.Value{"kafka_port": kafkaPort, "http_port": cty.NumberIntVal(443)}),
			"each":  cty.ObjectVal(map[string]cty.Value{"value": cty.NumberIntVal(node + 1)}),
		}})
		if problems.HasErrors() {
			t.Fatalf("%s of %v: %v", name, b.Labels, problems)
		}
		n := asNumber(t, value)
		if values = append(values, n); b.Body.Attributes["for_each"] == nil {
			break
		}
	}
	return values
}

func ways(t *testing.T, m module, kind string) (all []way) {
	t.Helper()
	named := func(b *hclsyntax.Block, name string) string {
		if b.Body.Attributes[name] == nil {
			return ""
		}
		return reference(b.Body.Attributes[name].Expr.Variables()[0])
	}
	for _, b := range m.all("resource", kind) {
		all = append(all, way{named(b, "security_group_id"), named(b, "referenced_security_group_id"),
			number(t, m, b, "from_port")[0], number(t, m, b, "to_port")[0]})
	}
	return all
}

// TestTerraformLetsTrafficThrough follows each connection that has to be: an open port on one side
// and none on the other is a cluster that nobody reaches.
func TestTerraformLetsTrafficThrough(t *testing.T) {
	m := parseModule(t, "terraform/aws")
	in, out := ways(t, m, "aws_vpc_security_group_ingress_rule"), ways(t, m, "aws_vpc_security_group_egress_rule")
	open := func(what string, ways []way, group, peer string, port int64) {
		t.Helper()
		for _, w := range ways {
			if w.group == group && w.peer == peer && w.from <= port && port <= w.to {
				return
			}
		}
		t.Errorf("%s: nothing lets port %d of %s through (peer %q)", what, port, group, peer)
	}
	for _, listener := range m.all("resource", "aws_lb_listener") {
		name := listener.Labels[1]
		for _, port := range number(t, m, listener, "port") {
			if name == "peer" {
				open("nodes to "+name, out, nodeGroup, balancerGroup, port)
				open("nodes to "+name, in, balancerGroup, nodeGroup, port)
			} else {
				open("clients to "+name, in, balancerGroup, "", port)
			}
		}
	}
	for _, group := range m.all("resource", "aws_lb_target_group") {
		ports := number(t, m, group, "port")
		for _, health := range inner(group, "health_check") {
			asked := number(t, m, health, "port")
			if slices.Equal(asked, ports) {
				t.Errorf("the health checks of %s wait for clients: FIRN_ADMIN_ADDR has a port of their own", group.Labels[1])
			}
			ports = append(ports, asked...)
		}
		for _, port := range ports {
			open("balancer to "+group.Labels[1], out, balancerGroup, nodeGroup, port)
			open("balancer to "+group.Labels[1], in, nodeGroup, balancerGroup, port)
		}
	}
	open("nodes to Redis", out, nodeGroup, redisGroup, 6379)
	open("nodes to Redis", in, redisGroup, nodeGroup, 6379)
	open("nodes to the bucket", out, nodeGroup, "", 443)
	for _, w := range in {
		if w.group != balancerGroup && w.peer == "" && w.from != 8081 {
			t.Errorf("%+v: clients come by the load balancer", w)
		}
	}
}

// asNumber reads a number, or a text that is one.
func asNumber(t *testing.T, value cty.Value) int64 {
	t.Helper()
	value, err := convert.Convert(value, cty.Number)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := value.AsBigFloat().Int64()
	return n
}

// TestTerraformNodesKnowTheirZone: a node is told the zone of the very subnet that its service runs
// in.
func TestTerraformNodesKnowTheirZone(t *testing.T) {
	m := parseModule(t, "terraform/aws")
	text := func(b *hclsyntax.Block, name string) string {
		at := b.Body.Attributes[name].SrcRange
		return strings.TrimSpace(string(m.files[at.Filename][at.Start.Byte:at.End.Byte]))
	}
	subnet := m.only(t, "data", "aws_subnet", "node")
	if text(subnet, "for_each") != "for_each = local.subnets" || text(subnet, "id") != "id       = each.value" {
		t.Errorf("zones are those of %s, %s", text(subnet, "for_each"), text(subnet, "id"))
	}
	containers := text(m.only(t, "resource", "aws_ecs_task_definition", "node"), "container_definitions")
	zone := `{ name = "FIRN_ZONE", value = data.aws_subnet.node[each.key].availability_zone_id }`
	if !strings.Contains(containers, zone) {
		t.Error("nodes are not told their zone")
	}
	for _, b := range m.only(t, "resource", "aws_ecs_service", "node").Body.Blocks {
		if b.Type == "network_configuration" && !strings.Contains(text(b, "subnets"), "[local.subnets[each.key]]") {
			t.Errorf("a service runs in %s", text(b, "subnets"))
		}
	}
}
