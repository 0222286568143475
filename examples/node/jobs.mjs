// What may be enqueued. The rules are RRQ's own: what they refuse here would be a dead letter later.
import { createHash, randomUUID } from 'node:crypto';

const YEARS_10 = 10 * 365 * 86400;
const DEEPEST = 128;
const MOST_BYTES = 1024 * 1024;
const MOST_CONTEXT = 64 * 1024;
const QUEUE = /^[A-Za-z0-9._-]{1,128}$/;
const JOB_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const PRINTABLE = /^(?:[^\p{C}\p{Z}]| ){1,256}$/u;
const LONE_SURROGATE = /\p{Cs}/u;

// Field, whether this is right, what is expected. null and no value at all mean RRQ's default.
const FIELDS = {
  function_name: [isFunction, '"handler" or "runner#handler", 1 to 256 printable characters'],
  params: [() => true, 'an object'],
  queue_name: [text(QUEUE), '1 to 128 characters out of A-Z a-z 0-9 . _ -'],
  job_id: [text(JOB_ID), '1 to 128 characters out of A-Z a-z 0-9 . _ : -'],
  max_retries: [(value) => Number.isInteger(value) && within(1, 1e6)(value), 'attempts in all, 1 to 1000000'],
  job_timeout_seconds: [within(0.001, 365 * 86400), 'seconds, 0.001 to 31536000'],
  result_ttl_seconds: [within(0, YEARS_10), `seconds, 0 to ${YEARS_10}`],
  defer_seconds: [within(0, YEARS_10), `seconds, 0 to ${YEARS_10}`],
  unique_key: [text(PRINTABLE), '1 to 256 printable characters'],
  unique_ttl_seconds: [within(0.001, YEARS_10), `seconds, 0.001 to ${YEARS_10}`],
  trace_context: [isTexts, 'an object of texts'],
};

// The text of one of these begins with the name of the field.
export class InvalidJob extends Error {}

function text(form) {
  return (value) => typeof value === 'string' && form.test(value);
}

function within(least, most) {
  return (value) => typeof value === 'number' && value >= least && value <= most;
}

function isFunction(value) {
  if (!text(PRINTABLE)(value) || !value.trim()) return false;
  const at = value.indexOf('#');
  return at < 0 || (QUEUE.test(value.slice(0, at)) && value.slice(at + 1).trim() !== '');
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value) {
  return isObject(value) && Object.values(value).every((each) => typeof each === 'string');
}

function shown(value) {
  return (JSON.stringify(value) ?? typeof value).slice(0, 80);
}

// Returns JSON that says what the value says; JSON.stringify alone writes null for what it cannot write.
function encode(field, value) {
  if (!isObject(value)) throw new InvalidJob(`${field}: expected an object, got ${shown(value)}`);
  const strict = (name, each) => {
    if (typeof each === 'number' && !Number.isFinite(each))
      throw new InvalidJob(`${field}: expected numbers that a double can hold, got ${each} as ${shown(name)}`);
    if (LONE_SURROGATE.test(name) || (typeof each === 'string' && LONE_SURROGATE.test(each)))
      throw new InvalidJob(`${field}: expected Unicode, got half of a surrogate pair`);
    return each;
  };
  let encoded;
  try {
    encoded = JSON.stringify(value, strict);
  } catch (error) {
    if (error instanceof InvalidJob) throw error;
    throw new InvalidJob(`${field}: ${error.message.split('\n')[0]}`);
  }
  let depth = 0;
  for (const [bracket] of encoded.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (bracket === '{' || bracket === '[') depth += 1;
    else if (bracket === '}' || bracket === ']') depth -= 1;
    if (depth > DEEPEST) throw new InvalidJob(`${field}: expected at most ${DEEPEST} levels`);
  }
  return encoded;
}

function check(job) {
  if (!isObject(job)) throw new InvalidJob(`job: expected an object, got ${shown(job)}`);
  for (const [name, value] of Object.entries(job)) {
    if (!Object.hasOwn(FIELDS, name))
      throw new InvalidJob(`${shown(name)}: expected one of ${Object.keys(FIELDS).join(', ')}`);
    const [isRight, expected] = FIELDS[name];
    const open = value === undefined || (value === null && name !== 'function_name');
    if (!open && !isRight(value)) throw new InvalidJob(`${name}: expected ${expected}, got ${shown(value)}`);
  }
  if (job.function_name === undefined) throw new InvalidJob('function_name: expected the name of a handler');
}

// Returns the arguments of one job, in the order that the header of enqueue.lua gives; or throws InvalidJob.
export function record(job) {
  check(job);
  const name = job.function_name;
  const queue = job.queue_name ?? 'default';
  const params = encode('params', job.params === undefined ? {} : job.params);
  const size = Buffer.byteLength(params);
  if (size > MOST_BYTES) throw new InvalidJob(`params: expected at most ${MOST_BYTES} bytes, got ${size}`);
  const trace = Object.keys(job.trace_context ?? {}).length ? encode('trace_context', job.trace_context) : '';
  if (trace.length > MOST_CONTEXT)
    throw new InvalidJob(`trace_context: expected at most ${MOST_CONTEXT} characters, got ${trace.length}`);
  // Tells a repeat of this job from another job of the same id.
  const digest = createHash('sha256').update(`${name}\0${queue}\0${params}`).digest('hex').slice(0, 24);
  return [
    job.job_id ?? randomUUID(),
    name,
    params,
    queue,
    job.max_retries ?? 5,
    job.job_timeout_seconds ?? 300,
    job.result_ttl_seconds ?? 86400,
    digest,
    job.defer_seconds > 0 ? `+${(job.defer_seconds * 1000).toFixed(3)}` : '',
    job.unique_key ?? '',
    Math.ceil((job.unique_ttl_seconds ?? 21600) * 1000),
    '', // guard: rate limit, debounce, reschedule
    '',
    0,
    trace,
    '',
  ];
}
