#!/usr/bin/env node
// The `heddle` command. Everything heavy is imported by the command that needs it, so that `heddle --help` is instant.
import { runCommandLine } from './program.ts';

/** A command has ended: whatever is still open then cannot keep the process alive for longer. */
const LINGER_MS = 3_000;

process.exitCode = await runCommandLine(process.argv.slice(2));
setTimeout(() => process.exit(), LINGER_MS).unref();
