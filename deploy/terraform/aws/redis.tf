# The coordinator. It holds counters, not records: neither snapshots nor an append-only file. What it loses is rebuilt from the bucket by the next node that
# notices, before anything is acknowledged on top of it.

resource "random_password" "redis" {
  length  = 48
  special = false # it stands in a URL
}

resource "aws_elasticache_parameter_group" "redis" {
  name        = "${var.name}-redis"
  family      = "redis7"
  description = "Firn refuses a Redis that may evict keys"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_subnet_group" "redis" {
  name       = "${var.name}-redis"
  subnet_ids = var.subnet_ids
  tags       = var.tags
}

resource "aws_elasticache_replication_group" "redis" {
  replication_group_id       = "${var.name}-redis"
  description                = "Firn's coordinator"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = var.redis_node_type
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  parameter_group_name       = aws_elasticache_parameter_group.redis.name
  subnet_group_name          = aws_elasticache_subnet_group.redis.name
  security_group_ids         = [aws_security_group.redis.id]
  at_rest_encryption_enabled = true
  transit_encryption_enabled = true
  auth_token                 = random_password.redis.result
  snapshot_retention_limit   = 0
  apply_immediately          = true
  tags                       = var.tags
}

resource "aws_secretsmanager_secret" "redis" {
  name                    = "${var.name}/coordinator-url"
  recovery_window_in_days = 7
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "redis" {
  secret_id     = aws_secretsmanager_secret.redis.id
  secret_string = local.coordinator_url
}

locals {
  coordinator_url = "rediss://:${random_password.redis.result}@${aws_elasticache_replication_group.redis.primary_endpoint_address}:6379"
  store_url       = "s3://${aws_s3_bucket.log.id}/log?region=${data.aws_region.current.region}"
}
