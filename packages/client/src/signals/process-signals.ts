// What the process itself is like, told to those who choose among instances and to those who look at metrics: how long its event loop keeps requests
// waiting, how busy it is, how long the garbage collector stops it. Nothing here is done for each request.
import type { ProcessLoad } from '@heddle/dataplane/direct';
import type { Histogram, Metrics } from '@heddle/runtime';
import { type GcKind, type LoopSignals, watchGcPauses, watchLoop } from '@heddle/runtime/process';

export interface ProcessSignalsOptions {
  readonly metrics: Metrics;
  /** Told a few times a second; undefined: nobody chooses this instance. */
  readonly tellLoad: ((load: ProcessLoad) => void) | undefined;
  /** Requests from the mesh that have not been answered. Asked when metrics are read. */
  readonly requestsInFlight: () => number;
}

/** From what nobody feels to what every caller does. */
const GC_PAUSE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const MS_PER_SECOND = 1_000;

/** Until what is returned is called. Does not keep the process alive. */
export function watchProcess({ metrics, tellLoad, requestsInFlight }: ProcessSignalsOptions): () => void {
  const delay = metrics.gauge(
    'heddle_process_event_loop_delay_seconds',
    'Mean time that something which came in the last second waited for the event loop of this process.',
  );
  const utilization = metrics.gauge(
    'heddle_process_event_loop_utilization',
    'Share of the time in which the event loop of this process was busy.',
  );
  const inFlight = metrics.gauge(
    'heddle_process_requests_in_flight',
    'Requests from the mesh that the application of this process has not answered.',
  );
  const onSample = (signals: LoopSignals): void =>
    tellLoad?.({ eventLoopDelayMs: signals.delayMs, utilization: signals.utilization, requestsInFlight: undefined });
  const loop = watchLoop(onSample);
  const endCollections = watchCollections(metrics);
  metrics.onExpose(() => {
    const signals = loop.signals();
    delay.set(signals.delayMs / MS_PER_SECOND);
    utilization.set(signals.utilization);
    inFlight.set(requestsInFlight());
  });
  return () => {
    loop.close();
    endCollections();
  };
}

function watchCollections(metrics: Metrics): () => void {
  const histograms = new Map<GcKind, Histogram>();
  return watchGcPauses((kind, pauseMs) => {
    let histogram = histograms.get(kind);
    if (histogram === undefined) {
      histogram = metrics.histogram(
        'heddle_process_gc_pause_seconds',
        'Times for which the garbage collector stopped this process.',
        GC_PAUSE_SECONDS,
        { kind },
      );
      histograms.set(kind, histogram);
    }
    histogram.observe(pauseMs / MS_PER_SECOND);
  });
}
