export * from './latency-sketch.ts';
export * from './load-meter.ts';
export * from './load.ts';
export * from './metrics/index.ts';
export * from './orca.ts';
export * from './trace-context.ts';
export * from './log-choice.ts';
