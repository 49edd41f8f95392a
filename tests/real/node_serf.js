// What a program does that uses node-serf, printed so that two kinds of agents can be compared.
// Usage: node node_serf.js ADDRESS
const Serf = require('node-serf')

const client = Serf.connect({ port: 7373, host: process.argv[2] }, (err) => {
  if (err) throw err
  main().then(() => { client.end(); process.exit(0) }, (error) => { console.log('failed:', error); process.exit(1) })
})

const call = (name, body) => new Promise((resolve, reject) => {
  const answered = (err, result) => err ? reject(err) : resolve(result)
  body ? client[name](body, answered) : client[name](answered)
})

function show (record) {
  const plain = {}
  for (const key of Object.keys(record).sort()) {
    const value = record[key]
    plain[key] = Buffer.isBuffer(value) ? value.toString() : value
  }
  delete plain.LTime
  return JSON.stringify(plain)
}

function stream (type) {
  const records = []
  let wake = null
  const made = client.stream({ Type: type })
  made.on('data', (record) => { records.push(record); if (wake) wake() })
  const next = async () => {
    while (records.length === 0) await new Promise((resolve) => { wake = resolve })
    return records.shift()
  }
  return new Promise((resolve) => made.on('listen', () => resolve({ next, stop: () => new Promise((done) => made.stop(done)) })))
}

async function main () {
  const users = await stream('user:deploy')
  await call('event', { Name: 'ignored', Payload: 'x', Coalesce: false })
  await call('event', { Name: 'deploy', Payload: 'v1', Coalesce: false })
  console.log('user', show(await users.next()))
  await users.stop()

  const queries = await stream('query')
  const asked = client.query({ Name: 'load', Payload: 'now', RequestAck: true, Timeout: 2000000000 })
  const answers = []
  const done = new Promise((resolve) => {
    asked.on('data', (record) => { answers.push(record); if (record.Type === 'done') resolve() })
  })
  const query = await queries.next()
  console.log('query', show(query))
  await call('respond', { ID: query.ID, Payload: 'pong' })
  await done
  answers.map(show).sort().forEach((line) => console.log('answer', line))
  await queries.stop()

  await call('tags', { Tags: { color: 'red' }, DeleteTags: [] })
  const members = (await call('members')).Members
  console.log('members', members.map((m) => m.Name + ' ' + m.Status + ' ' + m.Tags.color).join())
  const failure = await call('respond', { ID: 999, Payload: '' }).then(() => 'none', (error) => error.message)
  console.log('error', failure)
}
