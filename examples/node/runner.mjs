// An RRQ runner for Node, without dependencies: docs/protocol.md in a file.
//
//   serve({ name: async (params, context, signal) => result })
//
// A handler returns a JSON value, throws RetryJob to be called again, or throws anything else to fail. `signal` is
// aborted when the job is cancelled; a request is answered when its handler has ended, not before.
// `context.trace_context` holds the tracing headers for calls to others (tracing.mjs).
import { createHmac, timingSafeEqual } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';

import { begin, flush } from './tracing.mjs';

const LIMIT = 16 * 1024 * 1024;
const GRACE_MS = 4000;
const FLUSH_MS = 2000;
const ERROR_CHARS = 64 * 1024;
const VERSION = '2';
const NONCE_BYTES = 32;
const PROOF_MS = 1000;

export class RetryJob extends Error {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}

// ---- cutting a stream into messages

class Frames {
  #chunks = [];
  #size = 0;

  // Yields the bodies that `chunk` completes. Throws where a header makes no sense: nobody knows where the next begins.
  *feed(chunk) {
    this.#push(chunk);
    while (this.#size >= 4) {
      const length = this.#peek(4).readUInt32BE(0);
      if (length === 0 || length > LIMIT) throw new Error(`a frame of ${length} bytes`);
      if (this.#size < 4 + length) return;
      yield this.#take(4 + length).subarray(4);
    }
  }

  frame(body) {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(body.length);
    return Buffer.concat([header, body]);
  }

  #push(chunk) {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  #peek(count) {
    if (this.#chunks[0].length < count) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }

  #take(count) {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(count)];
    this.#size = all.length - count;
    return all.subarray(0, count);
  }
}

class Lines {
  #chunks = [];

  *feed(chunk) {
    let start = 0;
    for (let end; (end = chunk.indexOf(10, start)) >= 0; start = end + 1) {
      this.#chunks.push(chunk.subarray(start, end));
      const line = Buffer.concat(this.#chunks);
      this.#chunks = [];
      if (line.toString('latin1').trim() !== '') yield line;
    }
    this.#chunks.push(chunk.subarray(start));
  }

  frame(body) {
    return Buffer.concat([body, Buffer.from('\n')]);
  }
}

// ---- one connection

const utf8 = new TextDecoder('utf-8', { fatal: true });
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const failure = (type, message) => ({ status: 'error', error: { type, message: message.slice(0, ERROR_CHARS) } });

class Connection {
  constructor(handlers, reading, writing, framing) {
    this.handlers = handlers;
    this.writing = writing;
    this.framing = framing;
    this.open = new Map();
    this.draining = false;
    reading.on('data', (chunk) => this.#receive(chunk));
    reading.on('error', () => {});
    writing.on('error', () => {});
  }

  hello() {
    const handlers = Object.keys(this.handlers);
    this.#send({ type: 'hello', payload: { runtime: 'node-example', version: process.version, handlers } });
  }

  abort() {
    for (const { controller } of this.open.values()) controller.abort();
  }

  #receive(chunk) {
    try {
      for (const body of this.framing.feed(chunk)) this.#message(body);
    } catch (error) {
      console.error(`closing a connection: ${error.message}`);
      this.writing.destroy();
    }
  }

  #message(body) {
    let message;
    try {
      message = JSON.parse(utf8.decode(body));
    } catch {
      message = undefined;
    }
    const payload = isObject(message) && isObject(message.payload) ? message.payload : {};
    if (message?.type === 'cancel') return this.#cancel(payload);
    if (message?.type === 'response') return;
    const { request_id, job_id } = payload;
    const problem = message?.type === 'request' ? this.#problem(payload) : failure('bad_message', 'not a request');
    if (problem) {
      // Whoever has this id open waits for the other answer.
      if (!this.open.has(request_id)) this.#respond(request_id, job_id, problem);
      return;
    }
    const controller = new AbortController();
    this.open.set(request_id, { job_id, controller });
    this.#execute(payload, controller.signal).then((outcome) => {
      this.open.delete(request_id);
      this.#respond(request_id, job_id, outcome);
    });
  }

  #problem({ protocol_version, request_id, job_id, function_name, params, context }) {
    if (typeof request_id !== 'string' || typeof job_id !== 'string' || typeof function_name !== 'string')
      return failure('bad_message', 'expected request_id, job_id and function_name as texts');
    if (!isObject(params) || !isObject(context))
      return failure('bad_message', 'expected params and context as objects');
    if ((protocol_version ?? VERSION) !== VERSION)
      return failure('unsupported_version', `this runner speaks ${VERSION}`);
    if (this.open.has(request_id)) return failure('bad_message', 'the request_id is already open');
    if (this.draining) return failure('busy', 'the runner is stopping');
    return undefined;
  }

  #cancel({ protocol_version, request_id, job_id }) {
    if ((protocol_version ?? VERSION) !== VERSION) return;
    for (const [id, each] of this.open)
      if (each.job_id === job_id && (request_id ?? id) === id) each.controller.abort();
  }

  async #execute(request, signal) {
    const { function_name, params, context } = request;
    if (!Object.hasOwn(this.handlers, function_name))
      return failure('handler_not_found', `no handler named ${JSON.stringify(function_name)}`);
    const span = begin(request);
    const outcome = await this.#call(function_name, params, span?.context ?? context, signal);
    span?.end(outcome);
    return outcome;
  }

  async #call(function_name, params, context, signal) {
    try {
      return { status: 'success', result: await this.handlers[function_name](params, context, signal) };
    } catch (error) {
      if (signal.aborted) return failure('cancelled', 'the job was cancelled');
      if (error instanceof RetryJob)
        return { status: 'retry', error: { message: error.message }, retry_after_seconds: error.seconds };
      return failure(error?.constructor?.name ?? 'Error', String(error?.message ?? error));
    }
  }

  #respond(request_id, job_id, outcome) {
    try {
      this.#send({ type: 'response', payload: { job_id, request_id, ...outcome } });
    } catch (error) {
      const type = error instanceof RangeError ? 'result_too_large' : 'result_not_serialisable';
      this.#send({ type: 'response', payload: { job_id, request_id, ...failure(type, error.message) } });
    }
  }

  #send(message) {
    const body = Buffer.from(JSON.stringify(message));
    if (body.length > LIMIT) throw new RangeError(`the response has ${body.length} bytes, ${LIMIT} are allowed`);
    if (!this.writing.destroyed) this.writing.write(this.framing.frame(body));
  }
}

// ---- listening, and ending

function address(args, environment) {
  const value = (name) => args[args.indexOf(name) + 1];
  if (args.includes('--stdio')) return { stdio: true };
  if (args.includes('--unix-socket')) return { path: value('--unix-socket') };
  if (args.includes('--tcp-socket')) return tcp(value('--tcp-socket'));
  if (environment.RRQ_RUNNER_SOCKET) return { path: environment.RRQ_RUNNER_SOCKET };
  if (environment.RRQ_RUNNER_TCP_SOCKET) return tcp(environment.RRQ_RUNNER_TCP_SOCKET);
  throw new Error('no address: give --unix-socket PATH, --tcp-socket HOST:PORT or --stdio');
}

function tcp(text) {
  const at = text.lastIndexOf(':');
  const host = text.slice(0, at).replace(/^\[|\]$/g, '');
  if (!['127.0.0.1', '::1', 'localhost'].includes(host)) throw new Error(`${host}: expected a loopback address`);
  return { host, port: Number(text.slice(at + 1)) };
}

export function serve(handlers) {
  const connections = new Set();
  const offered = (process.env.RRQ_RUNNER_EXTENSIONS ?? '').split(',').includes('hello');
  const where = address(process.argv.slice(2), process.env);
  let server;

  const add = (reading, writing, framing) => {
    const connection = new Connection(handlers, reading, writing, framing);
    connections.add(connection);
    // Nobody waits any more: stop what runs.
    writing.on('close', () => (connection.abort(), connections.delete(connection)));
    if (offered) connection.hello();
  };

  let stopping = false;
  const stop = async () => {
    if (stopping) process.exit(0);
    stopping = true;
    server?.close();
    for (const connection of connections) connection.draining = true;
    const busy = () => [...connections].some((connection) => connection.open.size > 0);
    const started = Date.now();
    while (busy()) {
      if (Date.now() - started > GRACE_MS + 500) break;
      if (Date.now() - started > GRACE_MS) for (const connection of connections) connection.abort();
      await new Promise((done) => setTimeout(done, 20));
    }
    // What is written must leave before the process does; and the last spans, if there is time left for them.
    const left = [...connections].map(
      ({ writing }) => new Promise((done) => writing.write('', done)),
    );
    const spans = flush(Math.min(FLUSH_MS, GRACE_MS + 1000 - (Date.now() - started)));
    await Promise.race([Promise.all(left), new Promise((done) => setTimeout(done, 500))]);
    await spans;
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  endWithParent();

  if (where.stdio) {
    console.log = console.error; // stdout carries messages
    add(process.stdin, process.stdout, new Lines());
    process.stdin.on('end', stop);
    return;
  }
  process.umask(0o077); // the socket is for this user
  const nonce = where.host && takeNonce();
  server = net.createServer((socket) => {
    socket.setNoDelay(true);
    admit(socket, nonce, () => add(socket, socket, new Frames()));
  });
  server.listen(where, () => console.log('listening'));
}

// On a TCP port anybody may connect. So an orchestrator gives its process a nonce, which both ends show to know.
function takeNonce() {
  const descriptor = Number(process.env.RRQ_RUNNER_NONCE_FD);
  delete process.env.RRQ_RUNNER_NONCE_FD;
  if (!descriptor) return undefined;
  const nonce = Buffer.alloc(NONCE_BYTES);
  if (fs.readSync(descriptor, nonce) !== NONCE_BYTES) throw new Error('RRQ_RUNNER_NONCE_FD: expected 32 bytes');
  fs.writeSync(descriptor, Buffer.of(1));
  fs.closeSync(descriptor);
  return nonce;
}

// Calls `enter` once whoever connects has shown to know the nonce; parses nothing before.
function admit(socket, nonce, enter) {
  if (!nonce) return enter();
  const proof = (end) => createHmac('sha256', nonce).update(`rrq ${end}`).digest();
  const refuse = () => socket.destroy();
  const timer = setTimeout(refuse, PROOF_MS);
  const look = () => {
    const shown = socket.read(NONCE_BYTES);
    if (shown === null) return;
    clearTimeout(timer);
    socket.off('readable', look);
    socket.off('error', refuse);
    if (shown.length !== NONCE_BYTES || !timingSafeEqual(shown, proof('orchestrator'))) return refuse();
    socket.write(proof('runner'));
    enter();
  };
  socket.on('error', refuse);
  socket.on('close', () => clearTimeout(timer));
  socket.on('readable', look);
}

// The orchestrator holds the other end of this pipe; its end of file says that the orchestrator is gone.
function endWithParent() {
  const descriptor = Number(process.env.RRQ_RUNNER_CONTROL_FD);
  delete process.env.RRQ_RUNNER_CONTROL_FD;
  delete process.env.RRQ_RUNNER_EXTENSIONS;
  if (!descriptor) return;
  const pipe = new net.Socket({ fd: descriptor, readable: true, writable: false });
  pipe.on('close', () => process.exit(0));
  pipe.on('error', () => {});
  pipe.resume();
  pipe.unref();
}
