// A program that uses kith as it would use Redis, by node-redis, the client most programs in JavaScript have (version 4).
// test_redis_client.py runs it: redis_client.js PORT PASSWORD. Each step that went well is a line; a failed one ends it.
// After "restart" it waits on its input for word that the agent has been restarted.
'use strict';
const assert = require('assert').strict;
const { createClient, commandOptions, WatchError, ErrorReply } = require('redis');

const [port, password] = process.argv.slice(2);
const socket = { host: '127.0.0.1', port: Number(port), reconnectStrategy: () => 100 };

function word(expected) {
  return new Promise((resolve) => process.stdin.once('data', (data) => {
    assert.equal(String(data).trim(), expected);
    resolve();
  }));
}

async function until(condition, what) {
  for (let i = 0; i < 600; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`still not: ${what}`);
}

const steps = {
  async password() {
    for (const [given, message] of [[undefined, /^NOAUTH/], ['wrong', /^WRONGPASS/]]) {
      const stranger = createClient({ socket: { ...socket, reconnectStrategy: () => new Error('once') }, password: given });
      const heard = [];
      stranger.on('error', (error) => heard.push(error.message));
      await stranger.connect().then(() => stranger.get('k')).catch((error) => heard.push(error.message));
      assert(heard.some((text) => message.test(text)), heard.join());
      await stranger.disconnect().catch(() => {});
    }
  },

  async hello(client) {
    const said = await client.hello({ protover: 2 });
    assert.equal(said.server, 'redis');
    assert.equal(said.proto, 2);
    assert.equal(said.mode, 'standalone');
    await client.clientSetName('me');
    assert.equal(await client.clientGetName(), 'me');
    assert.equal(await client.ping(), 'PONG');
    assert.match(await client.info('server'), /redis_version:/);
  },

  async strings(client) {
    assert.equal(await client.set('s', 'value'), 'OK');
    assert.equal(await client.get('s'), 'value');
    assert.equal(await client.get('none'), null);
    assert.equal(await client.set('s', 'no', { NX: true }), null);
    assert.equal(await client.set('s', 'yes', { XX: true, GET: true }), 'value');
    assert.equal(await client.append('s', '!'), 4);
    assert.equal(await client.getRange('s', 0, 1), 'ye');
    assert.equal(await client.mSet({ m1: '1', m2: 'zwölf' }), 'OK');
    assert.deepEqual(await client.mGet(['m1', 'm2', 'none']), ['1', 'zwölf', null]);
    assert.equal(await client.exists(['m1', 'm2', 'none']), 2);
    assert.equal(await client.getDel('m1'), '1');
    assert.equal(await client.del(['m1', 'm2', 's']), 2);
    const bytes = Buffer.from([...Array(256).keys()]);
    await client.set('bytes', bytes);
    assert.deepEqual(await client.get(commandOptions({ returnBuffers: true }), 'bytes'), bytes);
  },

  async counters(client) {
    assert.equal(await client.incr('c'), 1);
    assert.equal(await client.incrBy('c', 41), 42);
    assert.equal(await client.decr('c'), 41);
    assert.equal(await client.decrBy('c', 2), 39);
    assert.equal(await client.get('c'), '39');
    assert.equal(await client.incrByFloat('f', 0.25), '0.25');
  },

  async hashes(client) {
    assert.equal(await client.hSet('h', { a: '1', b: '2' }), 2);
    assert.equal(await client.hSet('h', 'c', 3), 1);
    assert.equal(await client.hGet('h', 'a'), '1');
    assert.equal(await client.hGet('h', 'none'), null);
    assert.deepEqual({ ...(await client.hGetAll('h')) }, { a: '1', b: '2', c: '3' });
    assert.deepEqual(await client.hmGet('h', ['a', 'none']), ['1', null]);
    assert.equal(await client.hIncrBy('h', 'a', 5), 6);
    assert.equal(await client.hExists('h', 'b'), true);
    assert.equal(await client.hDel('h', ['b', 'none']), 1);
    assert.deepEqual((await client.hKeys('h')).sort(), ['a', 'c']);
    const seen = {};
    for await (const { field, value } of client.hScanIterator('h')) seen[field] = value;
    assert.deepEqual(seen, { a: '6', c: '3' });
  },

  async sets(client) {
    assert.equal(await client.sAdd('t', ['a', 'b', 'c']), 3);
    assert.equal(await client.sAdd('t', 'a'), 0);
    assert.equal(await client.sRem('t', 'b'), 1);
    assert.deepEqual((await client.sMembers('t')).sort(), ['a', 'c']);
    assert.equal(await client.sIsMember('t', 'a'), true);
    assert.deepEqual(await client.smIsMember('t', ['a', 'b']), [true, false]);
    assert.equal(await client.sCard('t'), 2);
    await client.sAdd('u', ['c', 'd']);
    assert.deepEqual(await client.sInter(['t', 'u']), ['c']);
    assert.deepEqual((await client.sUnion(['t', 'u'])).sort(), ['a', 'c', 'd']);
    assert.deepEqual(await client.sDiff(['t', 'u']), ['a']);
    const seen = [];
    for await (const member of client.sScanIterator('u')) seen.push(member);
    assert.deepEqual(seen.sort(), ['c', 'd']);
  },

  async sortedSets(client) {
    const three = [{ score: 1, value: 'one' }, { score: 2.5, value: 'two' }, { score: 1e300, value: 'last' }];
    assert.equal(await client.zAdd('z', three), 3);
    assert.deepEqual(await client.zRangeWithScores('z', 0, -1), three);
    assert.deepEqual(await client.zRange('z', '(1', '+inf', { BY: 'SCORE' }), ['two', 'last']);
    assert.equal(await client.zScore('z', 'two'), 2.5);
    assert.equal(await client.zRank('z', 'last'), 2);
    assert.equal(await client.zIncrBy('z', 4, 'one'), 5);
    assert.deepEqual(await client.zPopMin('z'), { score: 2.5, value: 'two' });
    assert.equal(await client.zRem('z', ['one', 'none']), 1);
    assert.equal(await client.zCard('z'), 1);
    assert.equal(await client.zCount('z', 0, '+inf'), 1);
  },

  async transactions(client) {
    assert.deepEqual(await client.multi().set('x', '1').incr('x').get('x').exec(), ['OK', 2, '2']);
    await client.executeIsolated(async (own) => {
      await own.watch('x');
      await client.set('x', 'theirs');
      await assert.rejects(own.multi().set('x', 'mine').exec(), WatchError);
    });
    assert.equal(await client.get('x'), 'theirs');
  },

  async scans(client) {
    const names = new Set([...Array(300).keys()].map((i) => `scan:${i}`));
    await Promise.all([...names].map((name) => client.set(name, '1')));
    const seen = new Set();
    for await (const key of client.scanIterator({ MATCH: 'scan:*', COUNT: 20 })) seen.add(key);
    assert.deepEqual(seen, names);
    assert.equal(await client.unlink([...names]), 300);
  },

  async expiry(client) {
    await client.set('e', '1', { EX: 100 });
    const left = await client.ttl('e');
    assert(left > 90 && left <= 100);
    assert.equal(await client.expire('e', 1000), true);
    assert(await client.pTTL('e') > 100000);
    assert.equal(await client.persist('e'), true);
    assert.equal(await client.ttl('e'), -1);
    assert.equal(await client.ttl('none'), -2);
    await client.pExpire('e', 30);
    await until(async () => await client.get('e') === null, 'it expires');
  },

  async notifications(client) {
    await client.configSet('notify-keyspace-events', 'KEA');
    const listener = client.duplicate();
    await listener.connect();
    const heard = [];
    await listener.subscribe('__keyspace@0__:told', (event) => heard.push(event));
    await listener.pSubscribe('__keyevent@0__:*', (key, channel) => heard.push(`${channel} ${key}`));
    await client.set('told', '1');
    await client.pExpire('told', 30);
    for (const event of ['set', '__keyevent@0__:set told', 'expired', '__keyevent@0__:expired told'])
      await until(() => heard.includes(event), event);
    await listener.unsubscribe('__keyspace@0__:told');
    await listener.pUnsubscribe('__keyevent@0__:*');
    assert.equal(await listener.ping(), 'PONG');
    await listener.quit();
  },

  async errors(client) {
    await client.sAdd('a set', 'x');
    await client.set('a word', 'x');
    await client.set('the greatest', '9223372036854775807');
    await assert.rejects(client.get('a set'), (error) => error instanceof ErrorReply && /^WRONGTYPE/.test(error.message));
    await assert.rejects(client.incr('a word'), /not an integer/);
    await assert.rejects(client.incr('the greatest'), /overflow/);
    await assert.rejects(client.sendCommand(['NOSUCH', 'x']), { message: /^ERR unknown command/ });
    await assert.rejects(client.sendCommand(['GET']), /wrong number of arguments/);
    await assert.rejects(client.multi().set('y', '1').addCommand(['NOSUCH']).exec(), /./);
    assert.equal(await client.exists('y'), 0);
    assert.equal(await client.ping(), 'PONG');
  },

  async large(client) {
    const value = 'x'.repeat(8 << 20);
    await client.set('large', value);
    assert(await client.get('large') === value);
    assert.equal(await client.strLen('large'), value.length);
    await client.del('large');
  },

  async pipeline(client) {
    const many = [...Array(1000).keys()];
    const counts = await Promise.all(many.map(() => client.incr('many')));
    assert.deepEqual(counts, many.map((i) => i + 1));
    const echoed = await Promise.all(many.map((i) => client.echo(`${i}`)));
    assert.deepEqual(echoed, many.map(String));
  },

  async restart(client) {
    await client.set('kept', 'on the disk');
    let lost = 0;
    client.on('error', () => lost++);
    console.log('restart');
    await word('restarted');
    assert.equal(await client.get('kept'), 'on the disk'); // whatever it was doing, it comes back by itself
    assert.equal(await client.get('many'), '1000');
    assert(lost > 0, 'the connection was never lost');
  },
};

(async () => {
  const client = createClient({ socket, password });
  client.on('error', () => {});
  await client.connect();
  for (const [name, step] of Object.entries(steps)) {
    await step(client);
    console.log(`ok ${name}`);
  }
  await client.quit();
  console.log('all done');
  process.exit(0);
})().catch((error) => {
  console.log(`FAILED ${error && error.stack || error}`);
  process.exit(1);
});
