// How loaded the instance behind an inbound listener is: the requests that it has from here, how long it takes until it answers, and what it says
// about itself with responses (ORCA), or what its process says where that is the data plane's own. That is what callers are told who ask.
import { LoadMeter, ORCA_BINARY_HEADER, ORCA_HEADER, readOrca, readOrcaBinary } from '@heddle/core';
import type { LoadSignal, OrcaReport } from '@heddle/core';
import type { AnyResponseHead, AnyTrailers } from './messages.ts';

/** For the data plane beside the instance, and not passed on. */
export const REPORT_HEADERS = [ORCA_HEADER, ORCA_BINARY_HEADER] as const;

/** What was said with a response goes before what the process says, for so long. */
const HEARD_AGE_MS = 1_000;

export class InstanceLoad {
  private readonly meter = new LoadMeter();
  private heardMs = -Infinity;
  /** It says so a few times a second: nothing has to be told with each response. */
  private hasProcess = false;
  /** What was said last, as it came: with many requests it is said again and again. */
  private text = '';
  private report: OrcaReport | undefined;

  /** Something is under way from now on. Returns what `end` is to be given. */
  begin(): number {
    return this.meter.begin();
  }

  /** @param elapsedMs undefined: how long it took says nothing about the load. */
  end(arrivedAt: number, elapsedMs: number | undefined, nowMs: number): void {
    this.meter.end(arrivedAt, elapsedMs, nowMs);
  }

  signal(nowMs: number): LoadSignal {
    return this.meter.signal(nowMs);
  }

  /** What comes from the instance itself. */
  hear(fields: AnyResponseHead | AnyTrailers, nowMs: number): void {
    const text = fields.get(ORCA_HEADER);
    const binary = text === undefined ? fields.get(ORCA_BINARY_HEADER) : undefined;
    if (text === undefined && binary === undefined) return;
    const said = text ?? binary!;
    if (said !== this.text) {
      this.text = said;
      this.report = text === undefined ? readOrcaBinary(said) : readOrca(said);
    }
    if (this.report === undefined) return;
    this.heardMs = nowMs;
    if (!this.hasProcess) this.meter.applicationSays(this.report, nowMs);
  }

  /** What the process of the instance says of itself; to be said again within a second, else it is forgotten. */
  processSays(load: OrcaReport, nowMs: number): void {
    this.hasProcess = true;
    const { report } = this;
    this.meter.applicationSays(report === undefined || nowMs - this.heardMs > HEARD_AGE_MS ? load : filled(report, load), nowMs);
  }
}

/** What the application does not say is taken from its process. */
function filled(report: OrcaReport, load: OrcaReport): OrcaReport {
  return {
    utilization: report.utilization ?? load.utilization,
    requestsInFlight: report.requestsInFlight ?? load.requestsInFlight,
    eventLoopDelayMs: report.eventLoopDelayMs ?? load.eventLoopDelayMs,
  };
}

/** The share of one request after the other in it. */
export class RequestLoad {
  private readonly instance: InstanceLoad;
  /** -1: there is no request. */
  private arrivedAt = -1;
  /** Since when the request is here whole; -1: it is not. */
  private wholeMs = -1;
  /** From there to the head of the answer: before that and after it the client sets the pace. */
  private elapsedMs: number | undefined;

  constructor(instance: InstanceLoad) {
    this.instance = instance;
  }

  begin(isWhole: boolean, nowMs: number): void {
    this.arrivedAt = this.instance.begin();
    this.wholeMs = isWhole ? nowMs : -1;
    this.elapsedMs = undefined;
  }

  whole(nowMs: number): void {
    this.wholeMs = nowMs;
  }

  /** @param isMeasured the time that it took is that of an answer. */
  answered(head: AnyResponseHead, isMeasured: boolean, nowMs: number): void {
    if (isMeasured && this.wholeMs >= 0) this.elapsedMs = nowMs - this.wholeMs;
    this.instance.hear(head, nowMs);
  }

  /** The first time counts. @param isSuccess the instance did what it was asked: errors may be faster, and what was broken off has no end. */
  end(trailers: AnyTrailers | undefined, isSuccess: boolean, nowMs: number): void {
    if (this.arrivedAt === -1) return;
    if (trailers !== undefined) this.instance.hear(trailers, nowMs);
    this.instance.end(this.arrivedAt, isSuccess ? this.elapsedMs : undefined, nowMs);
    this.arrivedAt = -1;
  }
}
