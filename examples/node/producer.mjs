// An RRQ producer for Node, without dependencies: RRQ's own Lua script, sent over a socket of ours.
//
//   const producer = await Producer.connect('redis://127.0.0.1:6379/0', scriptText);
//   const [reply] = await producer.enqueue([{ function_name: 'echo', params: { a: 1 } }]);
//   reply.kind    // 'created', or why not: see the header of enqueue.lua
//   reply.job_id
import { createHash } from 'node:crypto';
import net from 'node:net';

import { record } from './jobs.mjs';

const PER_CALL = 200;

// ---- RESP: commands out, replies in

function encode(words) {
  const parts = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = Buffer.from(String(word));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

// Returns [value, where the next reply begins], or undefined if the reply is not all there.
function decode(data, at = 0) {
  const end = data.indexOf('\r\n', at);
  if (end < 0) return undefined;
  const text = data.toString('utf8', at + 1, end);
  const next = end + 2;
  switch (String.fromCharCode(data[at])) {
    case '+':
      return [text, next];
    case '-':
      return [new Error(text), next];
    case ':':
      return [Number(text), next];
    case '$': {
      const size = Number(text);
      if (size < 0) return [null, next];
      if (data.length < next + size + 2) return undefined;
      return [data.toString('utf8', next, next + size), next + size + 2];
    }
    case '*': {
      const items = [];
      let place = next;
      for (let left = Number(text); left > 0; left--) {
        const item = decode(data, place);
        if (item === undefined) return undefined;
        items.push(item[0]);
        place = item[1];
      }
      return [items, place];
    }
    default:
      throw new Error(`Redis sent ${JSON.stringify(data.toString('latin1', at, at + 20))}, which is no reply`);
  }
}

class Redis {
  #waiting = [];
  #data = Buffer.alloc(0);

  static async connect(url) {
    const { protocol, hostname, port, username, password, pathname } = new URL(url);
    if (protocol !== 'redis:') throw new Error(`${protocol}//: this example speaks redis:// only`);
    const redis = new Redis();
    redis.socket = net.createConnection({ host: hostname, port: Number(port || 6379), noDelay: true });
    await new Promise((done, failed) => redis.socket.once('connect', done).once('error', failed));
    redis.socket.on('data', (chunk) => redis.#receive(chunk));
    redis.socket.on('error', (error) => redis.#end(error));
    redis.socket.on('close', () => redis.#end(new Error('Redis closed the connection')));
    const decoded = [username, password].filter(Boolean).map(decodeURIComponent);
    if (password) await redis.call('AUTH', ...decoded);
    if (pathname.length > 1) await redis.call('SELECT', pathname.slice(1));
    return redis;
  }

  call(...words) {
    return new Promise((done, failed) => {
      this.#waiting.push({ done, failed });
      this.socket.write(encode(words));
    });
  }

  close() {
    this.socket.end();
  }

  #receive(chunk) {
    this.#data = Buffer.concat([this.#data, chunk]);
    for (let reply; this.#data.length && (reply = decode(this.#data)); ) {
      const [value, next] = reply;
      this.#data = this.#data.subarray(next);
      const { done, failed } = this.#waiting.shift();
      value instanceof Error ? failed(value) : done(value);
    }
  }

  #end(error) {
    for (const { failed } of this.#waiting.splice(0)) failed(error);
  }
}

// ---- jobs

export class Producer {
  static async connect(url, script, prefix = 'rrq') {
    const producer = new Producer();
    Object.assign(producer, { redis: await Redis.connect(url), script, prefix });
    producer.sha = createHash('sha1').update(script).digest('hex');
    return producer;
  }

  // Enqueues all of these jobs, or throws InvalidJob before the first one is written if one of them is wrong.
  async enqueue(jobs) {
    const records = jobs.map(record);
    const replies = [];
    for (let start = 0; start < records.length; start += PER_CALL) {
      const part = records.slice(start, start + PER_CALL);
      const flat = await this.#run([1, `${this.prefix}:queues`, this.prefix, '', ...part.flat()]);
      for (let at = 0; at < flat.length; at += 2) replies.push({ kind: flat[at], job_id: flat[at + 1] });
    }
    return replies;
  }

  close() {
    this.redis.close();
  }

  async #run(words) {
    try {
      return await this.redis.call('EVALSHA', this.sha, ...words);
    } catch (error) {
      if (!error.message.startsWith('NOSCRIPT')) throw error;
      return this.redis.call('EVAL', this.script, ...words);
    }
  }
}
