// Enqueue jobs, one JSON object per line of stdin; print what became of each:
//
//   echo '{"function_name": "echo", "params": {"a": 1}}' | node enqueue.mjs
//
// If a line is no job, nothing is enqueued: one line on stderr names it and its field, and the exit code is 2.
// RRQ_REDIS_DSN and RRQ_KEY_PREFIX are those of rrq.toml; RRQ_ENQUEUE_LUA names the script (see README.md).
import { readFileSync } from 'node:fs';

import { record } from './jobs.mjs';
import { Producer } from './producer.mjs';

function read(bytes) {
  const jobs = [];
  const lines = new TextDecoder('utf-8', { fatal: true }).decode(bytes).split('\n');
  for (const [index, line] of lines.entries()) {
    if (!line.trim()) continue;
    try {
      const job = JSON.parse(line);
      record(job);
      jobs.push(job);
    } catch (error) {
      throw new Error(`line ${index + 1}: ${error.message}`);
    }
  }
  return jobs;
}

async function enqueue(jobs) {
  const { RRQ_REDIS_DSN, RRQ_KEY_PREFIX, RRQ_ENQUEUE_LUA } = process.env;
  const script = readFileSync(RRQ_ENQUEUE_LUA ?? new URL('enqueue.lua', import.meta.url), 'utf8');
  const producer = await Producer.connect(RRQ_REDIS_DSN ?? 'redis://127.0.0.1:6379/0', script, RRQ_KEY_PREFIX);
  try {
    for (const { kind, job_id } of await producer.enqueue(jobs)) console.log(`${kind} ${job_id}`);
  } finally {
    producer.close();
  }
}

function end(code) {
  return (error) => {
    console.error(`cannot enqueue: ${error.message}`);
    process.exitCode = code;
  };
}

let jobs;
try {
  jobs = read(readFileSync(0));
} catch (error) {
  end(2)(error);
}
if (jobs) await enqueue(jobs).catch(end(1));
