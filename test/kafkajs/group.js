// Reads a topic as a member of a consumer group, with kafkajs's own consumer, and prints PARTITION/OFFSET of each record that it handles, one a line. It
// leaves the group when its standard input ends.
//
//   node group.js HOST:PORT GROUP TOPIC

const { Kafka, PartitionAssigners, logLevel } = require('kafkajs')

// kafkajs calls its own assignor RoundRobinAssigner; under the name that all other clients have for theirs, it can share a group with them.
const roundRobin = context => ({ ...PartitionAssigners.roundRobin(context), name: 'roundrobin' })

async function main([bootstrap, groupId, topic]) {
  const kafka = new Kafka({ brokers: [bootstrap], clientId: 'kafkajs-group', logLevel: logLevel.ERROR })
  const consumer = kafka.consumer({
    groupId,
    partitionAssigners: [roundRobin],
    sessionTimeout: 10000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 100,
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => {
      process.stdout.write(`${partition}/${message.offset}\n`)
    },
  })
  process.stdin.resume()
  await new Promise(resolve => process.stdin.on('end', resolve))
  await consumer.disconnect()
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  error => {
    console.error(`group.js: ${error.message}`)
    process.exit(1)
  }
)
