resource "aws_security_group" "node" {
  name        = "${var.name}-node"
  description = "Firn nodes"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-node" })
}

# Whoever the load balancer let in.
resource "aws_vpc_security_group_ingress_rule" "node_kafka" {
  security_group_id            = aws_security_group.node.id
  description                  = "Kafka, from the load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.kafka_port + 1
  to_port                      = local.kafka_port + var.nodes
}

resource "aws_vpc_security_group_ingress_rule" "node_http" {
  security_group_id            = aws_security_group.node.id
  description                  = "HTTP and health checks, from the load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8081
}

resource "aws_vpc_security_group_ingress_rule" "node_metrics" {
  for_each          = toset(var.client_cidr_blocks)
  security_group_id = aws_security_group.node.id
  description       = "Metrics of each node, for Prometheus"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 8081
  to_port           = 8081
}

resource "aws_vpc_security_group_egress_rule" "node_https" {
  security_group_id = aws_security_group.node.id
  description       = "The bucket, the registry of the image, logs, secrets"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "node_redis" {
  security_group_id            = aws_security_group.node.id
  description                  = "The coordinator"
  referenced_security_group_id = aws_security_group.redis.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_vpc_security_group_egress_rule" "node_peers" {
  security_group_id            = aws_security_group.node.id
  description                  = "Each other, through the load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 8080 + 1
  to_port                      = 8080 + var.nodes
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "Firn's load balancer"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-balancer" })
}

resource "aws_vpc_security_group_ingress_rule" "balancer_kafka" {
  for_each          = toset(var.client_cidr_blocks)
  security_group_id = aws_security_group.balancer.id
  description       = "Kafka clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.kafka_port + 1
  to_port           = local.kafka_port + var.nodes
}

resource "aws_vpc_security_group_ingress_rule" "balancer_http" {
  for_each          = toset(var.client_cidr_blocks)
  security_group_id = aws_security_group.balancer.id
  description       = "HTTP clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.http_port
  to_port           = local.http_port
}

resource "aws_vpc_security_group_ingress_rule" "balancer_peers" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "Nodes, to each other"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = 8080 + 1
  to_port                      = 8080 + var.nodes
}

resource "aws_vpc_security_group_egress_rule" "balancer_kafka" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "Kafka, to nodes"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = local.kafka_port + 1
  to_port                      = local.kafka_port + var.nodes
}

resource "aws_vpc_security_group_egress_rule" "balancer_http" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "HTTP and health checks, to nodes"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8081
}

resource "aws_security_group" "redis" {
  name        = "${var.name}-redis"
  description = "Firn's coordinator"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-redis" })
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  security_group_id            = aws_security_group.redis.id
  description                  = "Nodes and the function"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

# One load balancer for all nodes: a listener for each node, because Kafka clients talk to a node by its own address, and one for HTTP, where any node does.
resource "aws_lb" "firn" {
  name                             = var.name
  internal                         = true
  load_balancer_type               = "network"
  subnets                          = var.subnet_ids
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true
  tags                             = var.tags
}

resource "aws_lb_target_group" "kafka" {
  for_each             = local.nodes
  name                 = "${var.name}-kafka-${each.key}"
  port                 = local.kafka_port + each.value
  protocol             = "TCP"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  deregistration_delay = 30
  preserve_client_ip   = true # connections are limited by address too
  tags                 = var.tags

  health_check {
    protocol            = "HTTP"
    port                = "8081"
    path                = "/healthz" # a node that drains still serves the connected clients
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "kafka" {
  for_each          = local.nodes
  load_balancer_arn = aws_lb.firn.arn
  port              = local.kafka_port + each.value
  protocol          = var.certificate_arn == null ? "TCP" : "TLS"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.kafka[each.key].arn
  }
}

resource "aws_lb_target_group" "http" {
  name                 = "${var.name}-http"
  port                 = 8080
  protocol             = "TCP"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  deregistration_delay = 30
  tags                 = var.tags

  health_check {
    protocol            = "HTTP"
    port                = "8081"
    path                = "/readyz"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.firn.arn
  port              = local.http_port
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.http.arn
  }
}

# Nodes forward requests about a consumer group to the node that owns it, so each is reachable over HTTP by itself as well, for nodes alone. Their
# addresses are not kept: a packet of a node to another on the same machine could not come back.
resource "aws_lb_target_group" "peer" {
  for_each             = local.nodes
  name                 = "${var.name}-peer-${each.key}"
  port                 = 8080
  protocol             = "TCP"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  deregistration_delay = 5
  tags                 = var.tags

  health_check {
    protocol            = "HTTP"
    port                = "8081"
    path                = "/healthz"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "peer" {
  for_each          = local.nodes
  load_balancer_arn = aws_lb.firn.arn
  port              = 8080 + each.value
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.peer[each.key].arn
  }
}
