# The producer function: one HTTP request in, records in the bucket, offsets out, with no node in between.

locals {
  functions = var.lambda_package == null ? {} : { producer = var.lambda_package }
}

data "aws_iam_policy_document" "lambda_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "producer" {
  for_each           = local.functions
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.lambda_assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "producer" {
  for_each = local.functions
  name     = "append"
  role     = aws_iam_role.producer[each.key].id
  policy   = data.aws_iam_policy_document.append.json
}

# Logs, and the network interface in the VPC.
resource "aws_iam_role_policy_attachment" "producer" {
  for_each   = local.functions
  role       = aws_iam_role.producer[each.key].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}

resource "aws_cloudwatch_log_group" "producer" {
  for_each          = local.functions
  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_lambda_function" "producer" {
  for_each         = local.functions
  function_name    = "${var.name}-${each.key}"
  role             = aws_iam_role.producer[each.key].arn
  filename         = each.value
  source_code_hash = filebase64sha256(each.value)
  handler          = "bootstrap"
  runtime          = "provided.al2023"
  architectures    = ["arm64"]
  memory_size      = 512
  timeout          = 30
  tags             = var.tags

  environment {
    variables = {
      FIRN_STORE       = local.store_url
      FIRN_COORDINATOR = local.coordinator_url
      FIRN_TOPIC       = var.lambda_topic
    }
  }

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.node.id]
  }

  depends_on = [aws_iam_role_policy.producer, aws_cloudwatch_log_group.producer]
}

# Whoever calls it signs with IAM: lambda:InvokeFunctionUrl.
resource "aws_lambda_function_url" "producer" {
  for_each           = local.functions
  function_name      = aws_lambda_function.producer[each.key].function_name
  authorization_type = "AWS_IAM"
}
