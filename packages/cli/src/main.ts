#!/usr/bin/env node
// The `heddle` command. Everything heavy is imported by the command that needs it, so that `heddle --help` is instant.
import { setFlagsFromString } from 'node:v8';
import { runCommandLine } from './program.ts';

/** A command has ended: whatever is still open then cannot keep the process alive for longer. */
const LINGER_MS = 3_000;

// What carries traffic has its engine as the workers have it (`startModule`). A program that was started without options can still set how the
// space for new objects grows from the 1 MB with which V8 begins, but no longer its size.
if (process.argv[2] === 'proxy') {
  const options = `${process.env['NODE_OPTIONS'] ?? ''} ${process.execArgv.join(' ')}`;
  if (!/semi[-_]space/.test(options)) setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--no-maglev');
}

process.exitCode = await runCommandLine(process.argv.slice(2));
setTimeout(() => process.exit(), LINGER_MS).unref();
