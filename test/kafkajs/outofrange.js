// What kafkajs does with a group whose offset is gone: its consumer commits -1 or -2 on its way back into the range, and its admin
// resets offsets by committing the same numbers. Prints a line for each step, and ends by itself.
//
//   node outofrange.js HOST:PORT GROUP TOPIC OFFSET    OFFSET is one that the topic does not have any more

const { Kafka, logLevel } = require('kafkajs')

async function main([bootstrap, groupId, topic, offset]) {
  const kafka = new Kafka({ brokers: [bootstrap], clientId: 'kafkajs-range', logLevel: logLevel.NOTHING, retry: { retries: 2 } })
  const admin = kafka.admin()
  await admin.connect()
  const committed = async () => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
    return partitions.map(p => p.offset).join(',')
  }
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset }] })
  console.log(`set ${await committed()}`)

  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, heartbeatInterval: 200 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const first = await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer.run({ autoCommit: false, eachMessage: async ({ message }) => resolve(message.offset) }).catch(reject)
  })
  await consumer.disconnect()
  console.log(`read ${first}`)

  await admin.resetOffsets({ groupId, topic, earliest: true })
  console.log(`reset ${await committed()}`)
  await admin.disconnect()
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  error => {
    console.error(`outofrange.js: ${error.message}`)
    process.exit(1)
  }
)
