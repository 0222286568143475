// Spans of a Node runner, without dependencies: one around each handler, sent as OTLP over HTTP, in JSON.
//
//   const span = begin(request);       // undefined unless an endpoint is set
//   span.context                       // what the handler gets: its own traceparent, for calls to others
//   span.end(outcome);
//   await flush(2000);                 // before the process ends, for at most so many milliseconds
//
// Spans wait in a queue that is bounded. What cannot be sent is dropped, told once, and harms no job.
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';

const env = process.env;
const SERVER = 2;
const ERROR = 2;
const TEXT_CHARS = 512;
const STATE_CHARS = 1024;
const QUEUED = positive('OTEL_BSP_MAX_QUEUE_SIZE', 2048);
const BATCH = Math.min(QUEUED, positive('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512));
const DELAY_MS = positive('OTEL_BSP_SCHEDULE_DELAY', 5000);
const TIMEOUT_MS = positive('OTEL_EXPORTER_OTLP_TRACES_TIMEOUT', positive('OTEL_EXPORTER_OTLP_TIMEOUT', 10_000));
const PARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

const url = endpoint();
const headers = { ...given('OTEL_EXPORTER_OTLP_HEADERS'), ...given('OTEL_EXPORTER_OTLP_TRACES_HEADERS') };
const queue = [];
let timer, sending;
let told = false;

// ---- spans

// Begins the span of a handler: a child of what the request carries, or a trace of its own.
export function begin({ job_id, function_name, context }) {
  if (!url) return undefined;
  const { traceparent, tracestate, ...others } = lowered(context.trace_context);
  const [, version, trace, parent, flags] = (text(traceparent, 128) && PARENT.exec(traceparent)) || [];
  const known = trace !== undefined && (version !== '00' || traceparent.length === 55);
  const state = known && text(tracestate, STATE_CHARS) ? { tracestate } : {};
  const traceId = known ? trace : randomBytes(16).toString('hex');
  const spanId = randomBytes(8).toString('hex');
  const sampled = !known || (parseInt(flags, 16) & 1) === 1;
  const attributes = {
    ...correlated(context.correlation_context),
    'messaging.system': 'rrq',
    'messaging.operation.type': 'process',
    'messaging.operation.name': 'process',
    'messaging.destination.name': context.queue_name,
    'messaging.message.id': job_id,
    'rrq.function': function_name,
    'rrq.attempt': context.attempt,
  };
  const startMs = Date.now();
  const began = performance.now();
  return {
    context: {
      ...context,
      trace_context: { ...others, ...state, traceparent: `00-${traceId}-${spanId}-${sampled ? '01' : '00'}` },
    },
    end({ status, error }) {
      // Whoever began the trace has decided that it is not recorded.
      if (!sampled) return;
      // A retry that the handler asked for is no error.
      const failed = status === 'error';
      push({
        traceId,
        spanId,
        ...(known && { parentSpanId: parent, traceState: state.tracestate ?? '' }),
        name: 'rrq.runner',
        kind: SERVER,
        startTimeUnixNano: nanoseconds(startMs),
        endTimeUnixNano: nanoseconds(startMs + performance.now() - began),
        attributes: pairs({ ...attributes, 'rrq.outcome': status, ...(failed && { 'error.type': error.type }) }),
        status: failed ? { code: ERROR, message: error.message.slice(0, TEXT_CHARS) } : {},
      });
    },
  };
}

// Whoever can write a job can write these: only names in lower case, and texts.
function lowered(headers) {
  const entries = Object.entries(headers ?? {}).filter(([, value]) => typeof value === 'string');
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), value]));
}

function text(value, limit) {
  return value !== undefined && value.length <= limit && /^[\x20-\x7e]+$/.test(value);
}

function correlated(context) {
  const fitting = Object.entries(context ?? {}).filter(([name]) => name.length > 0 && name.length <= 128);
  return Object.fromEntries(fitting.slice(0, 32).map(([name, value]) => [name, String(value).slice(0, 256)]));
}

function pairs(attributes) {
  const known = Object.entries(attributes).filter(([, value]) => value !== undefined && value !== null);
  return known.map(([key, value]) => ({
    key,
    value: Number.isInteger(value) ? { intValue: String(value) } : { stringValue: String(value).slice(0, TEXT_CHARS) },
  }));
}

function nanoseconds(ms) {
  return `${BigInt(Math.round(ms * 1000))}000`;
}

// ---- sending

function push(span) {
  if (queue.length >= QUEUED) return tell(`${QUEUED} spans wait for ${url.host}; further ones are dropped`);
  queue.push(span);
  if (queue.length >= BATCH) send();
  else timer ??= setTimeout(send, DELAY_MS).unref();
}

// Sends what waits, one batch after the other, never two at a time.
function send() {
  clearTimeout(timer);
  timer = undefined;
  sending ??= (async () => {
    while (queue.length) await post(queue.splice(0, BATCH));
  })().finally(() => (sending = undefined));
  return sending;
}

async function post(spans) {
  const attributes = pairs({ 'service.name': env.OTEL_SERVICE_NAME || 'rrq-runner', 'telemetry.sdk.language': 'nodejs' });
  const scopeSpans = [{ scope: { name: 'rrq' }, spans }];
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ resourceSpans: [{ resource: { attributes }, scopeSpans }] }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await answer.arrayBuffer();
    if (!answer.ok) tell(`${url.host} answered ${answer.status}; spans are dropped`);
  } catch (error) {
    tell(`${url.host}: ${error.cause?.message ?? error.message}; spans are dropped`);
  }
}

export async function flush(limitMs) {
  if (!url) return;
  await Promise.race([send(), new Promise((done) => setTimeout(done, limitMs))]);
}

function tell(problem) {
  if (!told) console.error(`traces: ${problem}`);
  told = true;
}

// ---- settings: OpenTelemetry's own variables

function endpoint() {
  if (env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return undefined;
  const common = env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const where = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || (common && `${common.replace(/\/+$/, '')}/v1/traces`);
  if (!where) return undefined;
  try {
    return new URL(where);
  } catch {
    console.error('traces: the endpoint in OTEL_EXPORTER_OTLP_… is no URL; nothing is sent');
    return undefined;
  }
}

function positive(name, fallback) {
  const value = Math.floor(Number(env[name]));
  return value > 0 ? value : fallback;
}

function given(name) {
  const entries = (env[name] ?? '').split(',').map((entry) => entry.split('='));
  return Object.fromEntries(
    entries.filter((parts) => parts.length > 1).map(([key, ...value]) => [key.trim(), unquoted(value.join('=').trim())]),
  );
}

function unquoted(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
