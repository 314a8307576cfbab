// Writes the records of the corpus with kafkajs and the codecs that its documentation names. usage: produce.js ADDRESS
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const { ZstdCodec } = require('zstd-codec')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, zstd: CompressionTypes.ZSTD }
try {
  const LZ4 = require('kafkajs-lz4')
  CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec
  codecs.lz4 = CompressionTypes.LZ4
} catch (err) {
  console.error('kafkajs-lz4 is left out, because it needs a compiler:', err.message)
}

const records = n => Array.from({ length: n }, (_, i) =>
  ({ key: `k${i}`, value: `{"id":${i},"name":"alice","tags":["a","b","c"],"ok":true}` }))

ZstdCodec.run(async zstd => {
  const streaming = new zstd.Streaming()
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: encoder => Buffer.from(streaming.compress(encoder.buffer)),
    decompress: buffer => Buffer.from(streaming.decompress(buffer)),
  })
  const kafka = new Kafka({ brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
  for (const [name, compression] of Object.entries(codecs)) {
    for (const [size, n] of Object.entries({ small: 200, large: 1500 })) {
      const producer = kafka.producer({ allowAutoTopicCreation: true })
      await producer.connect()
      await producer.send({ topic: `kafkajs-${name}-${size}`, compression, messages: records(n) })
      await producer.disconnect()
    }
  }
  process.exit(0)
})
