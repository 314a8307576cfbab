variable "name" {
  description = "Prefix of everything that is made, in lower case."
  type        = string
  default     = "firn"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.name))
    error_message = "name begins with a letter and has 2 to 21 of a-z, 0-9 and -."
  }
}

variable "vpc_id" {
  description = "The VPC that nodes and Redis run in."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets for nodes, load balancer and Redis, one for each availability zone. They need a way to the image's registry and to CloudWatch Logs."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids needs two zones at least: Redis fails over to the other."
  }
}

variable "route_table_ids" {
  description = "Route tables of the subnets: they get a gateway endpoint for S3, so that traffic to the bucket is free and stays inside."
  type        = list(string)
}

variable "client_cidr_blocks" {
  description = "Where Kafka and HTTP clients come from."
  type        = list(string)

  validation {
    condition     = !contains(var.client_cidr_blocks, "0.0.0.0/0") && !contains(var.client_cidr_blocks, "::/0")
    error_message = "client_cidr_blocks may not be everywhere: name the networks that clients are in. The load balancer is inside."
  }
}

variable "kafka_protocol" {
  description = "Of Kafka clients: plaintext, ssl, sasl-plaintext or sasl-ssl. The two with ssl need tls_secret_arn: nodes speak TLS themselves."
  type        = string
  default     = "plaintext"

  validation {
    condition     = contains(["plaintext", "ssl", "sasl-plaintext", "sasl-ssl"], var.kafka_protocol)
    error_message = "kafka_protocol is plaintext, ssl, sasl-plaintext or sasl-ssl."
  }

  validation {
    condition     = !endswith(var.kafka_protocol, "ssl") || var.tls_secret_arn != null
    error_message = "kafka_protocol with ssl needs tls_secret_arn. To have the load balancer speak TLS, use sasl-plaintext and certificate_arn."
  }
}

variable "certificate_arn" {
  description = "Certificate (ACM) by which the load balancer speaks TLS with Kafka clients, instead of the nodes; null: it does not. It names advertise_host."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || !endswith(var.kafka_protocol, "ssl")
    error_message = "certificate_arn is for kafka_protocol plaintext or sasl-plaintext: with ssl the nodes have TLS already."
  }
}

variable "advertise_host" {
  description = "Name under which clients and nodes reach the load balancer, and that the certificate names; null: the load balancer's own."
  type        = string
  default     = null
}

variable "https" {
  description = "Serve HTTPS at port 443 instead of HTTP at port 80. It needs tls_secret_arn, and advertise_host that the certificate names."
  type        = bool
  default     = false

  validation {
    condition     = !var.https || (var.tls_secret_arn != null && var.advertise_host != null)
    error_message = "https needs tls_secret_arn and advertise_host: nodes reach each other by that name."
  }
}

variable "tls_secret_arn" {
  description = "Secret (Secrets Manager) with the nodes' certificate: JSON with certificate, key and, for tls_client_auth, client_ca, each PEM; null: no TLS. Nodes read it when they start."
  type        = string
  default     = null
}

variable "tls_client_auth" {
  description = "Whether nodes ask clients for certificates: none, request or require."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "request", "require"], var.tls_client_auth)
    error_message = "tls_client_auth is none, request or require."
  }

  validation {
    condition     = var.tls_client_auth == "none" || var.tls_secret_arn != null
    error_message = "tls_client_auth needs tls_secret_arn, with client_ca."
  }
}

variable "users_secret_arn" {
  description = "Secret (Secrets Manager) with the first users, as lines of `firn user hash`; null: there are none. Others are made with `firn user`."
  type        = string
  default     = null
}

variable "authorizer" {
  description = "none: everybody may do everything. acl: what ACLs and super_users say."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "acl"], var.authorizer)
    error_message = "authorizer is none or acl."
  }
}

variable "super_users" {
  description = "Principals that may do everything beside authorizer acl: [\"User:admin\"]."
  type        = list(string)
  default     = []
}

variable "files_image" {
  description = "Image with a shell, that writes the secrets above into files before a node starts: the image of Firn has none."
  type        = string
  default     = "public.ecr.aws/docker/library/busybox:1.37"
}

variable "environment" {
  description = "More settings of firn serve, as its variables: FIRN_OAUTH_JWKS, FIRN_PUT_BUDGET, ... Secrets do not belong here."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : startswith(name, "FIRN_")])
    error_message = "environment has variables of firn serve, which begin with FIRN_."
  }
}

variable "bucket_name" {
  description = "Name of the bucket that is made for the log. S3 bucket names are unique in the world."
  type        = string
}

variable "kms_key_arn" {
  description = "KMS key for the bucket and for logs; null: S3's own keys (SSE-S3)."
  type        = string
  default     = null
}

variable "image" {
  description = "The image of deploy/container, as repository:tag or with a digest."
  type        = string
}

variable "nodes" {
  description = "How many nodes."
  type        = number
  default     = 3

  validation {
    condition     = var.nodes >= 1 && var.nodes <= 50 && floor(var.nodes) == var.nodes
    error_message = "nodes is a whole number from 1 to 50, which is how many listeners a load balancer has."
  }
}

variable "node_cpu" {
  description = "CPU of a node in Fargate's units: 1024 are one."
  type        = number
  default     = 2048
}

variable "node_memory" {
  description = "Memory of a node in MiB."
  type        = number
  default     = 4096
}

variable "redis_node_type" {
  description = "Type of the two Redis nodes. Redis holds counters and not records: the smallest that the network load allows."
  type        = string
  default     = "cache.t4g.small"
}

variable "lambda_package" {
  description = "Zip file with the producer function of deploy/lambda (bootstrap, linux/arm64); null: no function."
  type        = string
  default     = null
}

variable "lambda_topic" {
  description = "Topic that the function writes to."
  type        = string
  default     = "events"
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the logs of nodes and function."
  type        = number
  default     = 30
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}
