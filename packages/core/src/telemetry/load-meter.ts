// What a server says when it is asked how loaded it is: requests under way, and how long one takes at present. The latter is the median of
// recent requests that came when about as many were under way, since a busy server's past calm says nothing (Prequal, NSDI 2024, §4.1).
// Recording is O(1) and allocates nothing.
import type { LoadSignal } from '../balancing/balancer.ts';
import type { OrcaReport } from './orca.ts';

/** Of each level of load, so many of the latest are kept. */
const SAMPLES = 16;
/** Up to so many under way, each number is a level of its own; beyond, eight to each doubling. */
const EXACT = 16;
const PER_DOUBLING = 8;
/** 16 + 8 × 16: a million under way. */
const LEVELS = EXACT + PER_DOUBLING * 16;
/** Older ones say nothing about now: neighbours on a machine come and go within seconds. Longer memories made the tail twice as long. */
const SAMPLE_AGE_MS = 1_000;
/** What an application says about itself holds for so long. */
const REPORT_AGE_MS = 1_000;
/** From here on an application that says how busy it is counts as slower than it was measured. */
const BUSY_UTILIZATION = 0.8;

export class LoadMeter {
  /** Requests under way. */
  inFlight = 0;
  private readonly latencies = new Float32Array(LEVELS * SAMPLES);
  /** When each was recorded; 0: never. */
  private readonly recordedMs = new Float64Array(LEVELS * SAMPLES);
  private readonly next = new Uint8Array(LEVELS);
  private readonly sorted = new Float32Array(SAMPLES);
  private highestLevel = -1;
  private report: OrcaReport | undefined;
  private reportedMs = 0;

  /** A request has come. Returns what `end` is to be given. */
  begin(): number {
    return this.inFlight++;
  }

  /**
   * It ended, however.
   * @param arrivedAt what `begin` returned.
   * @param elapsedMs undefined: how long it took says nothing about the load (it was cut off, or streamed for as long as the client wanted).
   */
  end(arrivedAt: number, elapsedMs: number | undefined, nowMs: number): void {
    this.inFlight -= 1;
    if (elapsedMs === undefined) return;
    const level = levelOf(arrivedAt);
    const slot = this.next[level]!;
    this.next[level] = (slot + 1) % SAMPLES;
    this.latencies[level * SAMPLES + slot] = elapsedMs;
    this.recordedMs[level * SAMPLES + slot] = nowMs;
    if (level > this.highestLevel) this.highestLevel = level;
  }

  /** What the application has said with a response. */
  applicationSays(report: OrcaReport, nowMs: number): void {
    this.report = report;
    this.reportedMs = nowMs;
  }

  /**
   * At present. The latency is that of the level nearest to what is under way, the lower one of two; 0 when nothing recent is known. What the
   * application has said in the last second counts too: requests that it has from elsewhere, the delay of its event loop, which the next
   * request will wait for, and that it is busier than 80 %.
   */
  signal(nowMs: number): LoadSignal {
    const measuredMs = this.latencyMs(nowMs);
    const { report } = this;
    if (report === undefined || nowMs - this.reportedMs > REPORT_AGE_MS) return { inFlight: this.inFlight, latencyMs: measuredMs };
    const { utilization = 0, requestsInFlight = 0, eventLoopDelayMs = 0 } = report;
    const latencyMs = (measuredMs + eventLoopDelayMs) * Math.max(1, utilization / BUSY_UTILIZATION);
    return { inFlight: Math.max(this.inFlight, requestsInFlight), latencyMs };
  }

  private latencyMs(nowMs: number): number {
    const wanted = levelOf(this.inFlight);
    const farthest = Math.max(wanted, this.highestLevel - wanted);
    for (let distance = 0; distance <= farthest; distance++) {
      const lower = wanted - distance >= 0 ? this.medianMs(wanted - distance, nowMs) : 0;
      if (lower > 0) return lower;
      const upper = distance > 0 && wanted + distance <= this.highestLevel ? this.medianMs(wanted + distance, nowMs) : 0;
      if (upper > 0) return upper;
    }
    return 0;
  }

  /** Of the recent ones; 0 when there is none. */
  private medianMs(level: number, nowMs: number): number {
    const { sorted, latencies, recordedMs } = this;
    let count = 0;
    for (let at = level * SAMPLES; at < (level + 1) * SAMPLES; at++) {
      if (recordedMs[at] === 0 || nowMs - recordedMs[at]! > SAMPLE_AGE_MS) continue;
      sorted[count++] = latencies[at]!;
    }
    if (count === 0) return 0;
    sorted.subarray(0, count).sort();
    // What took no measurable time was measured all the same.
    return Math.max(sorted[(count - 1) >> 1]!, Number.MIN_VALUE);
  }
}

function levelOf(inFlight: number): number {
  if (inFlight < EXACT) return inFlight;
  const level = EXACT + Math.floor(Math.log2(inFlight / EXACT) * PER_DOUBLING);
  return Math.min(level, LEVELS - 1);
}
