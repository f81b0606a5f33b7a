// Loaded into Node programs that Heddle starts, ahead of their own code: tells with each response to a call of the mesh how busy the event loop is, in the
// form of ORCA (gRFC A51), which the data plane beside the program reads and takes off. Whatever Node lacks for it, the program starts and runs.
'use strict';

const INTERVAL_MS = 200;

try {
  const { performance } = require('node:perf_hooks');
  const channel = require('node:diagnostics_channel');

  let last = performance.eventLoopUtilization();
  let dueMs = performance.now() + INTERVAL_MS;
  let report = 'TEXT application_utilization=0,named_metrics.event_loop_delay_ms=0';

  setInterval(() => {
    const nowMs = performance.now();
    const delayMs = Math.max(0, nowMs - dueMs);
    dueMs = nowMs + INTERVAL_MS;
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    report = `TEXT application_utilization=${utilization.toFixed(3)},named_metrics.event_loop_delay_ms=${delayMs.toFixed(1)}`;
  }, INTERVAL_MS).unref();

  channel.channel('http.server.request.start').subscribe(({ request, response }) => {
    // Only the data plane sends this header: nobody outside the mesh is told.
    if (request.headers['x-heddle-peer'] !== undefined && !response.headersSent) response.setHeader('endpoint-load-metrics', report);
  });
} catch {
  // An old Node, or one that forbids it: the data plane measures from outside as it does for every other program.
}
