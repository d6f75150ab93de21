// client.js - scenarios with MQTT.js; `node client.js PORT VERSION SCENARIO` has status 0 if it passed. The environment
// variable MQTTJS_OPTIONS may hold further options as JSON; psk: { identity, key } stands for a pskCallback.
'use strict'
const assert = require('node:assert/strict')
const mqtt = require('mqtt')

const [port, version, scenario] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]]
const protocol = {
  3: { protocolId: 'MQIsdp', protocolVersion: 3 },
  4: { protocolVersion: 4 },
  5: { protocolVersion: 5 }
}
const five = version === 5
const topic = `mqttjs/${version}/${scenario}`
const TIMEOUT_MS = 30000 // for what happens at once unless something is broken
const opened = []
const further = JSON.parse(process.env.MQTTJS_OPTIONS || '{}')
if (further.psk) {
  const { identity, key } = further.psk
  further.pskCallback = () => ({ identity, psk: Buffer.from(key, 'hex') })
  further.checkServerIdentity = () => undefined // there is no certificate
  further.ciphers = 'PSK'
}

// A connected client that gathers its messages and lets a test wait for them.
async function connect(id, options = {}) {
  const client = await mqtt.connectAsync({
    host: '127.0.0.1',
    port,
    ...further,
    ...protocol[version],
    clientId: `${id}-${version}-${scenario}`.slice(0, 23),
    clean: true,
    reconnectPeriod: 0,
    ...options
  })
  opened.push(client)
  client.got = []
  client.on('message', (name, payload, packet) => {
    client.got.push({ ...packet, topic: name, payload: payload.toString() })
  })
  client.take = async (count) => {
    while (client.got.length < count) {
      await once(client, 'message', `${count} messages, came: ${client.got.length}`)
    }
    return client.got.splice(0, count)
  }
  return client
}

function once(emitter, event, what) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`never came: ${what || event}`)), TIMEOUT_MS)
    emitter.once(event, (...args) => {
      clearTimeout(timer)
      resolve(args)
    })
  })
}

// What was sent to the client before is in client.got after this.
async function settle(client) {
  await client.subscribeAsync(`${topic}/marker`, { qos: 1 })
  await client.publishAsync(`${topic}/marker`, 'marker', { qos: 1 })
  while (!client.got.some((m) => m.payload === 'marker')) await once(client, 'message')
  await client.unsubscribeAsync(`${topic}/marker`)
  const rest = client.got.splice(0).filter((m) => m.payload !== 'marker')
  assert.deepEqual(rest.map((m) => m.payload), [])
}

const resumable = five ? { clean: false, properties: { sessionExpiryInterval: 3600 } } : { clean: false }

const scenarios = {
  async qos() {
    const [sub, pub] = [await connect('sub'), await connect('pub')]
    for (const granted of [0, 1, 2]) {
      const [grant] = await sub.subscribeAsync(topic, { qos: granted })
      assert.equal(grant.qos, granted)
      for (const qos of [0, 1, 2]) {
        await pub.publishAsync(topic, `${qos}`, { qos })
        const [m] = await sub.take(1)
        assert.deepEqual([m.topic, m.payload, m.qos], [topic, `${qos}`, Math.min(qos, granted)])
        assert.deepEqual([m.retain, m.dup], [false, false])
      }
    }
    await settle(sub)
  },

  async order() {
    const [sub, pub] = [await connect('sub'), await connect('pub')]
    for (const qos of [0, 1, 2]) {
      await sub.subscribeAsync(`${topic}/${qos}`, { qos })
      const sent = Array.from({ length: 300 }, (_, i) => `${i}`)
      for (let i = 0; i < sent.length; i += 50) { // MQTT.js does not look at the broker's Receive Maximum
        const some = sent.slice(i, i + 50)
        await Promise.all(some.map((payload) => pub.publishAsync(`${topic}/${qos}`, payload, { qos })))
      }
      assert.deepEqual((await sub.take(300)).map((m) => m.payload), sent)
    }
  },

  async retained() {
    const c = await connect('c')
    for (const payload of ['old', 'new']) await c.publishAsync(topic, payload, { qos: 1, retain: true })
    await c.subscribeAsync(topic, { qos: 1 })
    const [kept] = await c.take(1)
    assert.deepEqual([kept.payload, kept.retain], ['new', true])
    await c.publishAsync(topic, '', { qos: 1, retain: true })
    const [cleared] = await c.take(1)
    assert.deepEqual([cleared.payload, cleared.retain], ['', false])
    const late = await connect('late')
    await late.subscribeAsync(topic)
    await settle(late)
  },

  async will() {
    const watcher = await connect('watcher')
    await watcher.subscribeAsync(`${topic}/#`, { qos: 2 })
    const will = { topic: `${topic}/will`, payload: Buffer.from('gone'), qos: 2, retain: true }
    const mortal = await connect('mortal', { will })
    mortal.stream.destroy()
    const [m] = await watcher.take(1)
    assert.deepEqual([m.topic, m.payload, m.qos], [`${topic}/will`, 'gone', 2])
    await watcher.publishAsync(`${topic}/will`, '', { qos: 1, retain: true })
    await watcher.take(1)
    const polite = await connect('polite', { will })
    await polite.endAsync()
    await settle(await connect('polite'))
    await settle(watcher)
  },

  async session() {
    const first = await connect('s', resumable)
    await first.subscribeAsync(topic, { qos: 1 })
    await first.endAsync(false)
    const pub = await connect('pub')
    const sent = Array.from({ length: 50 }, (_, i) => `${i}`)
    for (const payload of sent) await pub.publishAsync(topic, payload, { qos: 1 })
    // messages may come before connectAsync() is back
    const { clientId } = first.options
    const where = { host: '127.0.0.1', port, ...further, reconnectPeriod: 0, clientId }
    const back = mqtt.connect({ ...where, ...protocol[version], ...resumable })
    opened.push(back)
    const got = []
    back.on('message', (_, payload) => got.push(payload.toString()))
    const [connack] = await once(back, 'connect')
    if (version > 3) assert.equal(connack.sessionPresent, true)
    while (got.length < sent.length) await once(back, 'message')
    assert.deepEqual(got, sent)
  },

  async takeover() {
    const older = await connect('t')
    const closed = once(older, 'close')
    const told = five ? once(older, 'disconnect') : null
    const newer = await connect('t')
    await closed
    if (five) assert.equal((await told)[0].reasonCode, 0x8e)
    await newer.subscribeAsync(topic, { qos: 1 })
    await newer.publishAsync(topic, 'here', { qos: 1 })
    assert.equal((await newer.take(1))[0].payload, 'here')
  },

  async sizes() {
    const c = await connect('c')
    await c.subscribeAsync(topic, { qos: 1 })
    for (const size of [0, 1, 127, 128, 16383, 16384, 1 << 20]) {
      const payload = 'x'.repeat(size)
      await c.publishAsync(topic, payload, { qos: 1 })
      const [m] = await c.take(1)
      assert.ok(m.payload === payload, `${size} bytes`)
    }
  },

  async topics() {
    const c = await connect('c')
    const deep = Array(190).fill('l').join('/')
    for (const name of ['Grüße/🦟', '温度/x', 'a b', '/', 'x'.repeat(1000), deep]) {
      await c.subscribeAsync(`${topic}${name}`, { qos: 1 })
      await c.publishAsync(`${topic}${name}`, name, { qos: 1 })
      const [m] = await c.take(1)
      assert.deepEqual([m.topic, m.payload], [`${topic}${name}`, name])
    }
  },

  async wildcards() {
    const c = await connect('c')
    await c.subscribeAsync([`${topic}/+/x`, `${topic}/deep/#`], { qos: 1 })
    for (const name of ['a/x', 'a/y', 'deep', 'deep/1/2', 'deeper']) {
      await c.publishAsync(`${topic}/${name}`, name, { qos: 1 })
    }
    assert.deepEqual((await c.take(3)).map((m) => m.payload), ['a/x', 'deep', 'deep/1/2'])
    await settle(c)
  },

  async unsubscribe() {
    const c = await connect('c')
    await c.subscribeAsync(topic, { qos: 1 })
    await c.unsubscribeAsync(topic)
    await c.publishAsync(topic, 'gone', { qos: 1 })
    await settle(c)
  },

  async shared() {
    const members = [await connect('m1'), await connect('m2'), await connect('m3')]
    for (const m of members) await m.subscribeAsync(`$share/group/${topic}`, { qos: 1 })
    const pub = await connect('pub')
    for (let i = 0; i < 30; i++) await pub.publishAsync(topic, `${i}`, { qos: 1 })
    const all = []
    for (const m of members) all.push(...(await m.take(10)).map((x) => Number(x.payload)))
    assert.deepEqual(all.sort((a, b) => a - b), Array.from({ length: 30 }, (_, i) => i))
  },

  async ping() {
    const c = await connect('c', { keepalive: 1 })
    for (let pongs = 0; pongs < 2;) {
      const [packet] = await once(c, 'packetreceive')
      if (packet.cmd === 'pingresp') pongs++
    }
    assert.ok(c.connected)
  },

  async reconnect() {
    const pub = await connect('pub')
    const c = await connect('c', { ...resumable, reconnectPeriod: 10 })
    await c.subscribeAsync(topic, { qos: 1 })
    for (let i = 0; i < 5; i++) {
      const again = once(c, 'connect')
      c.stream.destroy()
      await pub.publishAsync(topic, `${i}`, { qos: 1 })
      await again
      assert.equal((await c.take(1))[0].payload, `${i}`)
    }
  },

  // ---- 5.0 alone

  async properties() {
    const c = await connect('c')
    await c.subscribeAsync(topic, { qos: 1, properties: { subscriptionIdentifier: 9 } })
    const userProperties = { b: ['2', '1'], a: 'x' }
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'an/swer',
      correlationData: Buffer.from([0, 255]),
      messageExpiryInterval: 99,
      userProperties
    }
    await c.publishAsync(topic, 'p', { qos: 1, properties })
    const [{ properties: p }] = await c.take(1)
    assert.deepEqual({ ...p.userProperties }, userProperties)
    assert.deepEqual([p.payloadFormatIndicator, p.contentType], [true, 'text/plain'])
    assert.deepEqual([p.responseTopic, [...p.correlationData]], ['an/swer', [0, 255]])
    assert.equal(p.subscriptionIdentifier, 9)
    assert.ok(p.messageExpiryInterval <= 99)
  },

  async options() {
    const [c, other] = [await connect('c'), await connect('other')]
    await other.publishAsync(topic, 'kept', { qos: 1, retain: true })
    await c.subscribeAsync(topic, { qos: 1, nl: true, rap: true, rh: 2 })
    await c.publishAsync(topic, 'own', { qos: 1 })
    await other.publishAsync(topic, 'other', { qos: 1, retain: true })
    const [m] = await c.take(1)
    assert.deepEqual([m.payload, m.retain], ['other', true])
    await settle(c)
    await other.publishAsync(topic, '', { qos: 1, retain: true })
  },

  async aliases() {
    const sub = await connect('sub', { properties: { topicAliasMaximum: 5 } })
    await sub.subscribeAsync(`${topic}/#`, { qos: 1 })
    const pub = await connect('pub', { autoUseTopicAlias: true, autoAssignTopicAlias: true })
    const names = Array.from({ length: 60 }, (_, i) => `${topic}/${i % 7}`)
    for (const name of names) await pub.publishAsync(name, name, { qos: 1 })
    for (const m of await sub.take(60)) assert.equal(m.topic, m.payload) // MQTT.js has resolved the aliases
  },

  async reasons() {
    const c = await connect('c')
    const deep = Array(201).fill('x').join('/')
    await assert.rejects(c.subscribeAsync(deep, { qos: 1 }))
    const unsuback = once(c, 'packetreceive')
    await c.unsubscribeAsync(`${topic}/never`)
    assert.deepEqual((await unsuback)[0].granted, [0x11])
    const puback = once(c, 'packetreceive')
    await c.publishAsync(`${topic}/nobody`, 'x', { qos: 1 })
    assert.equal((await puback)[0].reasonCode, 0x10)
  },

  async assigned() {
    const c = mqtt.connect({ host: '127.0.0.1', port, protocolVersion: 5, clientId: '', reconnectPeriod: 0 })
    opened.push(c)
    const [connack] = await once(c, 'connect')
    assert.ok(connack.properties.assignedClientIdentifier)
  }
}

async function main() {
  if (scenario === '--list') {
    console.log(Object.keys(scenarios).join('\n'))
    return
  }
  await scenarios[scenario]()
  await Promise.all(opened.map((client) => client.connected && client.endAsync()))
}

const timer = setTimeout(() => {
  console.error('it hangs')
  process.exit(1)
}, 2 * TIMEOUT_MS)
main().then(() => clearTimeout(timer)).catch((error) => {
  console.error(error)
  process.exit(1)
})
