// The door `@heddle/runtime/process`: time, and what a process knows of itself. Light: it is loaded before an application's first line.
export { nodeClock } from './clock.ts';
export { type LoopSignals, type LoopWatch, watchLoop } from './event-loop.ts';
export { type GcKind, watchGcPauses } from './gc-pauses.ts';
export { watchProcessMetrics } from './process-metrics.ts';
export { KeepAlive } from './keep-alive.ts';
