// What every process of the mesh shows of itself: its age, the processor time and memory that it takes, and how much its event loop is held
// up. Everything but the latter is read when somebody looks.
import { PROCESS_METRICS } from '@heddle/core';
import type { Metrics } from '../ports/metrics.ts';
import { watchLoop } from './event-loop.ts';

const MS_PER_SECOND = 1_000;
const US_PER_SECOND = 1_000_000;

/** Until what is returned is called. Does not keep the process alive. */
export function watchProcessMetrics(metrics: Metrics): () => void {
  const delay = metrics.gauge(PROCESS_METRICS.loopDelay);
  const longest = metrics.gauge(PROCESS_METRICS.loopDelayMax);
  const utilization = metrics.gauge(PROCESS_METRICS.loopUtilization);
  const cpu = metrics.counter(PROCESS_METRICS.cpu);
  const memory = metrics.gauge(PROCESS_METRICS.memory);
  const heap = metrics.gauge(PROCESS_METRICS.heap);
  metrics.gauge(PROCESS_METRICS.startTime).set(Math.round(Date.now() / MS_PER_SECOND - process.uptime()));
  const loop = watchLoop();
  let countedUs = 0;
  metrics.onExpose(() => {
    const signals = loop.signals();
    delay.set(signals.delayMs / MS_PER_SECOND);
    longest.set(signals.longestMs / MS_PER_SECOND);
    utilization.set(signals.utilization);
    const { user, system } = process.cpuUsage();
    cpu.add((user + system - countedUs) / US_PER_SECOND);
    countedUs = user + system;
    memory.set(process.memoryUsage.rss());
    heap.set(process.memoryUsage().heapUsed);
  });
  return () => loop.close();
}
