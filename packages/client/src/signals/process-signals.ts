// What the process itself is like, told to those who choose among instances and to those who look at metrics: how long its event loop keeps requests
// waiting, how busy it is, how long the garbage collector stops it. Nothing here is done for each request.
import { PROCESS_METRICS } from '@heddle/core';
import type { ProcessLoad } from '@heddle/dataplane/direct';
import type { Histogram, Metrics } from '@heddle/runtime';
import { type GcKind, type LoopSignals, watchGcPauses, watchLoop, watchProcessMetrics } from '@heddle/runtime/process';

export interface ProcessSignalsOptions {
  readonly metrics: Metrics;
  /** Told a few times a second; undefined: nobody chooses this instance. */
  readonly tellLoad: ((load: ProcessLoad) => void) | undefined;
  /** Requests from the mesh that have not been answered. Asked when metrics are read. */
  readonly requestsInFlight: () => number;
}

const MS_PER_SECOND = 1_000;

/** Until what is returned is called. Does not keep the process alive. */
export function watchProcess({ metrics, tellLoad, requestsInFlight }: ProcessSignalsOptions): () => void {
  const endProcess = watchProcessMetrics(metrics);
  const inFlight = metrics.gauge(PROCESS_METRICS.inFlight);
  const onSample = (signals: LoopSignals): void =>
    tellLoad?.({ eventLoopDelayMs: signals.delayMs, utilization: signals.utilization, requestsInFlight: undefined });
  const loop = watchLoop(onSample);
  const endCollections = watchCollections(metrics);
  metrics.onExpose(() => {
    inFlight.set(requestsInFlight());
  });
  return () => {
    loop.close();
    endProcess();
    endCollections();
  };
}

function watchCollections(metrics: Metrics): () => void {
  const histograms = new Map<GcKind, Histogram>();
  return watchGcPauses((kind, pauseMs) => {
    let histogram = histograms.get(kind);
    if (histogram === undefined) {
      histogram = metrics.histogram(PROCESS_METRICS.gcPauses, { kind });
      histograms.set(kind, histogram);
    }
    histogram.observe(pauseMs / MS_PER_SECOND);
  });
}
