package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// sqsMessages are those of a queue. Of a FIFO queue each message group keeps its order.
func sqsMessages(event json.RawMessage) ([]message, error) {
	var e events.SQSEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("event of SQS: %w", err)
	}
	list := make([]message, len(e.Records))
	for i, r := range e.Records {
		m := message{id: "sqs " + r.EventSourceARN + " " + r.MessageId, item: r.MessageId,
			source: r.Attributes["MessageGroupId"], value: []byte(r.Body)}
		if strings.HasSuffix(r.EventSourceARN, ".fifo") {
			m.group = cmp.Or(m.source, "none")
		}
		if sent, err := strconv.ParseInt(r.Attributes["SentTimestamp"], 10, 64); err == nil {
			m.time = time.UnixMilli(sent)
		}
		list[i] = m
	}
	return list, nil
}

// kinesisMessages are records of a shard, which keeps its order: Kinesis hands everything from the
// first failure on over again.
func kinesisMessages(event json.RawMessage) ([]message, error) {
	var e events.KinesisEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("event of Kinesis: %w", err)
	}
	list := make([]message, len(e.Records))
	for i, r := range e.Records {
		list[i] = message{id: "kinesis " + r.EventSourceArn + " " + r.EventID, item: r.Kinesis.SequenceNumber,
			source: r.Kinesis.PartitionKey,
			group:  "shard", value: r.Kinesis.Data, time: r.Kinesis.ApproximateArrivalTimestamp.Time}
	}
	return list, nil
}

func snsMessages(event json.RawMessage) ([]message, error) {
	var e events.SNSEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("event of SNS: %w", err)
	}
	list := make([]message, len(e.Records))
	for i, r := range e.Records {
		list[i] = message{id: "sns " + r.SNS.TopicArn + " " + r.SNS.MessageID, source: r.SNS.TopicArn,
			value: []byte(r.SNS.Message), time: r.SNS.Timestamp}
	}
	return list, nil
}

// s3Messages are notifications, each as S3 wrote it. They have no id: which change of which object
// they tell of is one.
func s3Messages(event json.RawMessage) ([]message, error) {
	var e struct{ Records []json.RawMessage }
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("event of S3: %w", err)
	}
	list := make([]message, len(e.Records))
	for i, raw := range e.Records {
		var r events.S3EventRecord
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("event of S3: %w", err)
		}
		object := r.S3.Bucket.Name + "/" + r.S3.Object.Key
		list[i] = message{id: strings.Join([]string{"s3", object, r.S3.Object.VersionID, r.S3.Object.Sequencer, r.EventName},
			" "), source: object,
			value: raw, time: r.EventTime}
	}
	return list, nil
}

// eventBridgeMessages is the event itself.
func eventBridgeMessages(event json.RawMessage) ([]message, error) {
	var e events.CloudWatchEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("event of EventBridge: %w", err)
	}
	return []message{{id: "eventbridge " + e.Source + " " + e.ID, source: e.Source, value: event, time: e.Time}}, nil
}
