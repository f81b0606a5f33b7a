#!/usr/bin/env node
// The `heddle` command. Everything heavy is imported by the command that needs it, so that `heddle --help` is instant.
import { setFlagsFromString } from 'node:v8';
import { runCommandLine } from './program.ts';

/** A command has ended: whatever is still open then cannot keep the process alive for longer. */
const LINGER_MS = 3_000;

// The space for new objects stays at the 1 MB with which V8 begins, as in the workers (`startModule`), unless somebody has chosen: a
// program that was started without options can still set how that space grows, but no longer its size.
const options = `${process.env['NODE_OPTIONS'] ?? ''} ${process.execArgv.join(' ')}`;
if (process.argv[2] === 'proxy' && !/semi[-_]space/.test(options)) setFlagsFromString('--semi-space-growth-factor=1');

process.exitCode = await runCommandLine(process.argv.slice(2));
setTimeout(() => process.exit(), LINGER_MS).unref();
