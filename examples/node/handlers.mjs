// node handlers.mjs --unix-socket PATH
import { setTimeout as pause } from 'node:timers/promises';

import { RetryJob, serve } from './runner.mjs';

serve({
  async echo(params) {
    return params;
  },

  async fail({ message = 'failed on purpose', until = Infinity }, { attempt }) {
    if (attempt < until) throw new Error(message);
    return { attempt };
  },

  async retry({ attempts = 2, seconds = 0 }, { attempt }) {
    if (attempt < attempts) throw new RetryJob(`attempt ${attempt} of ${attempts}`, seconds);
    return { attempt };
  },

  async sleep({ seconds }, context, signal) {
    await pause(seconds * 1000, undefined, { signal });
    return { slept: seconds };
  },

  async crash({ code = 1 }) {
    process.exit(code);
  },
});
