// Limits of what the control plane keeps of its mesh's traffic, in the form of those of a data plane.
import type { Limit } from './table.ts';

export const CONTROL_LIMITS = {
  trafficStepMs: {
    value: 5_000,
    unit: 'ms',
    reason: 'Width of a step of the last hour, and how often data planes report. The last day is kept in steps of twelve of these.',
  },
  trafficBytesMax: {
    value: 67_108_864,
    unit: 'bytes',
    reason:
      'History of traffic: some 60 kB for an edge, route or instance that is always in use. Beyond it series that nobody uses go, the least recently used first; where all are in use each loses its oldest part.',
  },
  trafficSeriesMax: {
    value: 20_000,
    unit: 'count',
    reason: 'Edges, routes and instances with traffic, some 2 kB each while requests go. Beyond it the least recently used goes.',
  },
  trafficPerReportMax: {
    value: 10_000,
    unit: 'count',
    reason: 'Edges, routes and instances in one report of a data plane; further ones are left out of it.',
  },
  reportBytesMax: {
    value: 4_194_304,
    unit: 'bytes',
    reason: 'One message of a data plane about traffic. A report of 2,000 edges with all their buckets has half of it.',
  },
  decisionsMax: {
    value: 2_000,
    unit: 'count',
    reason: 'The newest access decisions that refused something, some 500 bytes each.',
  },
  decisionsPerNodeMax: {
    value: 500,
    unit: 'count',
    reason: 'Of these, from one data plane: one that is attacked leaves room for what the others say.',
  },
} as const satisfies Record<string, Limit>;
