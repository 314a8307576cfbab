// Writes a record and reads it back, by each way to log in: login.js KAFKAJS SETTINGS, see logins_test.go.
const { readFileSync } = require('fs')
const { resolve } = require('path')
const { Kafka, logLevel } = require(resolve(process.argv[2]))

const read = name => readFileSync(name, 'utf8')
const settings = Object.fromEntries(read(process.argv[3]).trim().split('\n').map(line => {
  const at = line.indexOf('=')
  return [line.slice(0, at), line.slice(at + 1)]
}))

async function roundTrip (way) {
  const ssl = { ca: [read(settings.ca)] }
  const options = { brokers: [settings.sasl], ssl, logLevel: logLevel.ERROR, clientId: 'logins' }
  if (way === 'certificate') {
    options.brokers = [settings.tls]
    Object.assign(ssl, { cert: read(settings.cert), key: read(settings.key) })
  } else if (way === 'OAUTHBEARER') {
    options.sasl = { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: read(settings.token) }) }
  } else {
    options.sasl = { mechanism: way.toLowerCase(), username: settings.user, password: settings.password }
  }
  const kafka = new Kafka(options)
  const value = 'kafkajs ' + way
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: settings[way], messages: [{ value }] })
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: 'logins-kafkajs-' + way })
  await consumer.connect()
  await consumer.subscribe({ topics: [settings[way]], fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, e => reject(e.payload.error))
    consumer.run({ eachMessage: async ({ message }) => { if (message.value.toString() === value) resolve() } }).catch(reject)
  })
  await consumer.disconnect()
}

Promise.all(settings.modes.split(' ').map(roundTrip)).then(() => process.exit(0), e => { console.error(e); process.exit(1) })
