// Reads a whole topic with kafkajs and prints one line of JSON for each key: how many records it has and the SHA-256 of their values, each
// followed by a newline, in the order of their offsets.
//
//   node read.js HOST:PORT TOPIC
//
// kafkajs's own consumer always joins a consumer group. Reading a topic from end to end needs none, so this drives the classes below the
// consumer: the cluster finds each partition's leader, and the broker fetches from it. Everything on the wire, and every record, is
// still encoded and decoded by kafkajs.

const { createHash } = require('crypto')
const { Kafka, logLevel } = require('kafkajs')
const Cluster = require('kafkajs/src/cluster')
const { createLogger } = require('kafkajs/src/loggers')
const LoggerConsole = require('kafkajs/src/loggers/console')
const socketFactory = require('kafkajs/src/network/socketFactory')

const FETCH_BYTES = 8 << 20
const READ_COMMITTED = 1

// Totals of one key.
class Lines {
  constructor() {
    this.records = 0
    this.hash = createHash('sha256')
  }

  add(value) {
    this.records++
    if (value !== null) this.hash.update(value)
    this.hash.update('\n')
  }
}

// Reads one partition from its first offset to its end, and checks that offsets are dense.
async function readPartition(broker, topic, { partition, low, high }, add) {
  let next = BigInt(low)
  const end = BigInt(high)
  while (next < end) {
    const { responses } = await broker.fetch({
      replicaId: -1,
      isolationLevel: READ_COMMITTED,
      maxWaitTime: 1000,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      topics: [{ topic, partitions: [{ partition, fetchOffset: next.toString(), maxBytes: FETCH_BYTES }] }],
    })
    for (const message of responses[0].partitions[0].messages) {
      const offset = BigInt(message.offset)
      if (offset < next) continue // the batch may begin before the offset asked for
      if (offset !== next) throw new Error(`partition ${partition}: offset ${offset} where ${next} was due`)
      add(message.key === null ? '' : message.key.toString(), message.value)
      next++
    }
  }
}

async function offsetsOf(clientOptions, topic) {
  const admin = new Kafka(clientOptions).admin()
  await admin.connect()
  try {
    return await admin.fetchTopicOffsets(topic)
  } finally {
    await admin.disconnect()
  }
}

async function main([bootstrap, topic]) {
  const clientOptions = { brokers: [bootstrap], clientId: 'kafkajs-read', logLevel: logLevel.ERROR }
  const cluster = new Cluster({
    ...clientOptions,
    logger: createLogger({ level: logLevel.ERROR, logCreator: LoggerConsole }),
    socketFactory: socketFactory(),
    connectionTimeout: 10000,
    metadataMaxAge: 300000,
    allowAutoTopicCreation: false,
  })
  await cluster.connect()
  try {
    await cluster.addTargetTopic(topic)
    const keys = new Map()
    const add = (key, value) => {
      if (!keys.has(key)) keys.set(key, new Lines())
      keys.get(key).add(value)
    }
    for (const at of await offsetsOf(clientOptions, topic)) {
      const [leader] = Object.keys(cluster.findLeaderForPartitions(topic, [at.partition]))
      await readPartition(await cluster.findBroker({ nodeId: leader }), topic, at, add)
      process.stderr.write(`partition ${at.partition}: ${at.high - at.low} records\n`)
    }
    for (const [key, lines] of keys) {
      console.log(JSON.stringify({ key, records: lines.records, sha256: lines.hash.digest('hex') }))
    }
  } finally {
    await cluster.disconnect()
  }
}

main(process.argv.slice(2)).catch(error => {
  console.error(`read.js: ${error.message}`)
  process.exitCode = 1
})
