output "bootstrap_servers" {
  description = "What Kafka clients are given."
  value       = join(",", [for i in values(local.nodes) : "${local.kafka_host}:${local.kafka_port + i}"])
}

output "http_url" {
  description = "Where HTTP clients produce and consume."
  value       = "${var.https ? "https" : "http"}://${local.kafka_host}"
}

output "store" {
  description = "The bucket, as --store takes it."
  value       = local.store_url
}

output "function_url" {
  description = "Where the producer function is called, signed; null without one."
  value       = one([for url in aws_lambda_function_url.producer : url.function_url])
}
