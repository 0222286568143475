// Enqueue jobs, one JSON object per line of stdin; print what became of each:
//
//   echo '{"function_name": "echo", "params": {"a": 1}}' | node enqueue.mjs
//
// RRQ_REDIS_DSN and RRQ_KEY_PREFIX are those of rrq.toml; RRQ_ENQUEUE_LUA names the script (see README.md).
import { readFileSync } from 'node:fs';

import { Producer } from './producer.mjs';

const { RRQ_REDIS_DSN, RRQ_KEY_PREFIX, RRQ_ENQUEUE_LUA } = process.env;
const script = readFileSync(RRQ_ENQUEUE_LUA ?? new URL('enqueue.lua', import.meta.url), 'utf8');
const lines = readFileSync(0, 'utf8').split('\n').filter((line) => line.trim());
const producer = await Producer.connect(RRQ_REDIS_DSN ?? 'redis://127.0.0.1:6379/0', script, RRQ_KEY_PREFIX);
for (const { kind, job_id } of await producer.enqueue(lines.map((line) => JSON.parse(line))))
  console.log(`${kind} ${job_id}`);
producer.close();
