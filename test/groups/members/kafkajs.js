// A member of a consumer group on kafkajs. See ../README.md for what members print.
//   node kafkajs.js BOOTSTRAP GROUP TOPIC classic ASSIGNOR

const { Kafka, PartitionAssigners, logLevel } = require('../../kafkajs/node_modules/kafkajs')

// Date.now() counts milliseconds; the judge wants more.
const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6))
const say = line => process.stdout.write(`${now()} ${line}\n`)

async function main([bootstrap, groupId, topic, protocol, assignor]) {
  if (protocol !== 'classic' || assignor !== 'roundrobin') throw new Error(`kafkajs knows neither ${protocol} nor ${assignor}`)
  // kafkajs calls its own assignor RoundRobinAssigner; under the name that all other clients have for theirs, it can share a group with them.
  const roundRobin = context => ({ ...PartitionAssigners.roundRobin(context), name: 'roundrobin' })
  const kafka = new Kafka({ brokers: bootstrap.split(','), clientId: 'kafkajs', logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 100 } })
  const consumer = kafka.consumer({ groupId, partitionAssigners: [roundRobin], sessionTimeout: 10000, heartbeatInterval: 500, maxWaitTimeInMs: 100 })
  const { GROUP_JOIN, REBALANCING, STOP, DISCONNECT } = consumer.events
  consumer.on(GROUP_JOIN, ({ payload }) => say(`A ${(payload.memberAssignment[topic] || []).join(',')}`))
  for (const event of [REBALANCING, STOP, DISCONNECT]) consumer.on(event, () => say('V *'))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, isRunning, isStale, heartbeat }) => {
      if (!isRunning() || isStale() || batch.messages.length === 0) return
      for (const message of batch.messages) say(`P ${batch.partition} ${message.offset}`)
      await consumer.commitOffsets([{ topic, partition: batch.partition, offset: String(BigInt(batch.lastOffset()) + 1n) }])
      await heartbeat()
    },
  })
  process.stdin.resume()
  await new Promise(resolve => process.stdin.on('end', resolve))
  await consumer.disconnect()
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  error => {
    console.error(`kafkajs.js: ${error.stack}`)
    process.exit(1)
  }
)
