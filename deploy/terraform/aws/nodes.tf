# Nodes on Fargate. Each is a service of one task: a node has a number and an address of its own.

locals {
  kafka_port = 9092
  http_port  = var.https ? 443 : 80
  kafka_host = coalesce(var.advertise_host, aws_lb.firn.dns_name)
  nodes      = { for i in range(var.nodes) : tostring(i + 1) => i + 1 }
  subnets    = { for key, i in local.nodes : key => var.subnet_ids[i % length(var.subnet_ids)] } # zone by zone

  # Secrets that a node reads from files: the file, the variable that has it, and where ECS finds that.
  files = merge(
    var.tls_secret_arn == null ? {} : {
      "tls.crt" = { variable = "TLS_CERTIFICATE", from = "${var.tls_secret_arn}:certificate::" }
      "tls.key" = { variable = "TLS_KEY", from = "${var.tls_secret_arn}:key::" }
    },
    var.tls_client_auth == "none" ? {} : {
      "ca.crt" = { variable = "TLS_CLIENT_CA", from = "${var.tls_secret_arn}:client_ca::" }
    },
    var.users_secret_arn == null ? {} : {
      "users" = { variable = "USERS", from = var.users_secret_arn }
    },
  )
  files_script = join("\n", concat(["set -e"], [for name, file in local.files : "printf '%s\\n' \"$${${file.variable}}\" > /firn-files/${name}"]))

  security = merge(
    var.https ? { FIRN_HTTPS = "true" } : {},
    var.tls_secret_arn == null ? {} : {
      FIRN_TLS_CERT        = "/firn-files/tls.crt"
      FIRN_TLS_KEY         = "/firn-files/tls.key"
      FIRN_TLS_CLIENT_AUTH = var.tls_client_auth
    },
    var.tls_client_auth == "none" ? {} : { FIRN_TLS_CLIENT_CA = "/firn-files/ca.crt" },
    var.users_secret_arn == null ? {} : { FIRN_USERS_FILE = "/firn-files/users" },
    { FIRN_AUTHORIZER = var.authorizer },
    length(var.super_users) == 0 ? {} : { FIRN_SUPER_USERS = join(";", var.super_users) },
  )
}

# The zone that a node is in, by its id: the same in all accounts, so that clients elsewhere can name it as client.rack.
data "aws_subnet" "node" {
  for_each = local.subnets
  id       = each.value
}

resource "aws_ecs_cluster" "firn" {
  name = var.name
  tags = var.tags
}

resource "aws_cloudwatch_log_group" "firn" {
  name              = "/firn/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_ecs_task_definition" "node" {
  for_each                 = local.nodes
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.node_cpu
  memory                   = var.node_memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.node.arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }

  # Nobody but the containers of one task sees it, and it ends with the task.
  dynamic "volume" {
    for_each = length(local.files) == 0 ? [] : ["files"]

    content {
      name = volume.value
    }
  }

  container_definitions = jsonencode(concat(length(local.files) == 0 ? [] : [{
    name        = "files"
    image       = var.files_image
    entryPoint  = ["sh", "-c"]
    command     = [local.files_script]
    essential   = false
    secrets     = [for file in values(local.files) : { name = file.variable, valueFrom = file.from }]
    mountPoints = [{ sourceVolume = "files", containerPath = "/firn-files" }]
    }], [{
    name                   = "firn"
    image                  = var.image
    command                = ["serve"]
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 45 # a drain takes up to 30 seconds
    dependsOn              = [for name in length(local.files) == 0 ? [] : ["files"] : { containerName = name, condition = "SUCCESS" }]
    mountPoints            = [for name in length(local.files) == 0 ? [] : ["files"] : { sourceVolume = name, containerPath = "/firn-files", readOnly = true }]
    portMappings = [
      { containerPort = local.kafka_port + each.value, protocol = "tcp" },
      { containerPort = 8080, protocol = "tcp" },
      { containerPort = 8081, protocol = "tcp" },
    ]
    environment = concat([for name, value in merge(local.security, var.environment) : { name = name, value = value }], [
      { name = "FIRN_NODE_ID", value = each.key },
      { name = "FIRN_ZONE", value = data.aws_subnet.node[each.key].availability_zone_id },
      { name = "FIRN_STORE", value = local.store_url },
      { name = "FIRN_LISTENER", value = "kafka=${var.kafka_protocol}://0.0.0.0:${local.kafka_port + each.value}?advertise=${local.kafka_host}:${local.kafka_port + each.value}" },
      { name = "FIRN_HTTP_ADDR", value = "0.0.0.0:8080" },
      { name = "FIRN_ADMIN_ADDR", value = "0.0.0.0:8081" },
      { name = "FIRN_ADVERTISE_HTTP", value = "${local.kafka_host}:${8080 + each.value}" },
      { name = "FIRN_LOG_FORMAT", value = "json" },
      { name = "GOMEMLIMIT", value = "${floor(var.node_memory * 0.85)}MiB" },
    ])
    secrets     = [{ name = "FIRN_COORDINATOR", valueFrom = aws_secretsmanager_secret.redis.arn }]
    healthCheck = { command = ["CMD", "/firn", "health"], interval = 5, timeout = 3, retries = 5, startPeriod = 30 }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.firn.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = "node"
      }
    }
  }]))
}

resource "aws_ecs_service" "node" {
  for_each        = local.nodes
  name            = "${var.name}-${each.key}"
  cluster         = aws_ecs_cluster.firn.id
  task_definition = aws_ecs_task_definition.node[each.key].arn
  desired_count   = 1
  launch_type     = "FARGATE"
  # A node number is taken by one task at a time: the old one ends before the new one starts. So that the others serve
  # meanwhile, change services one after the other: terraform apply -parallelism=1.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  wait_for_steady_state              = true
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  tags                               = var.tags

  network_configuration {
    subnets         = [local.subnets[each.key]]
    security_groups = [aws_security_group.node.id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.kafka[each.key].arn
    container_name   = "firn"
    container_port   = local.kafka_port + each.value
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.http.arn
    container_name   = "firn"
    container_port   = 8080
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.peer[each.key].arn
    container_name   = "firn"
    container_port   = 8080
  }

  depends_on = [aws_lb_listener.kafka, aws_lb_listener.http, aws_lb_listener.peer, aws_iam_role_policy.node, aws_iam_role_policy.execution]
}
