// The program that reads a static proxy's file: gets the text, answers with the configuration or with what is wrong, and ends.
import { dirname, resolve } from 'node:path';
import { parseStaticFile } from '@heddle/core/config';
import { accept } from '../mesh-file.ts';
import { type ReadingResult, type ReadingTask, readPlainText } from './proxy-static-file.ts';

if (process.send === undefined) {
  process.stderr.write('This program is a part of `heddle proxy --static`, which starts it itself.\n');
  process.exitCode = 2;
}

// A terminal and service managers send these to every process of a group; whoever started this one says what they mean.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});

process.once('message', (task) => {
  process.send?.(read(task as ReadingTask), () => {
    if (process.connected) process.disconnect?.();
  });
});

function read({ path, text }: ReadingTask): ReadingResult {
  const files = { read: (name: string) => readPlainText(resolve(dirname(path), name)), nowMs: Date.now() };
  const { config, problems } = parseStaticFile(text, path, files, dirname(resolve(path)));
  let warnings = '';
  try {
    const accepted = accept(path, text, config, problems, (listed) => {
      warnings = listed;
    });
    return { config: accepted, problems: warnings };
  } catch (error) {
    return { problems: (error as Error).message };
  }
}
