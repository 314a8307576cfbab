# Who may do what.

# Both nodes and the function list the bucket, without a condition on the prefix, because S3 then says 403 instead of 404 of an object that is not there, and use
# its key.
data "aws_iam_policy_document" "bucket_use" {
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.log.arn]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "Key"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

# Nodes read, create, and delete what is needed no more.
data "aws_iam_policy_document" "log" {
  source_policy_documents = [data.aws_iam_policy_document.bucket_use.json]

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${aws_s3_bucket.log.arn}/log/*"]
  }

  statement {
    sid       = "Uploads"
    actions   = ["s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.log.arn]
  }
}

# The function writes and never deletes.
data "aws_iam_policy_document" "append" {
  source_policy_documents = [data.aws_iam_policy_document.bucket_use.json]

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.log.arn}/log/*"]
  }
}

data "aws_iam_policy_document" "tasks_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "node" {
  name               = "${var.name}-node"
  assume_role_policy = data.aws_iam_policy_document.tasks_assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "node" {
  name   = "log"
  role   = aws_iam_role.node.id
  policy = data.aws_iam_policy_document.log.json
}

# What ECS itself does to start a node: fetch the image, write logs, read the URL of Redis and the secrets that become files.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks_assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = compact([aws_secretsmanager_secret.redis.arn, var.tls_secret_arn, var.users_secret_arn])
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "secrets"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}
