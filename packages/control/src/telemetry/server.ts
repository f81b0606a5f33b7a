// heddle.telemetry.v1: our own data planes tell their traffic, their access decisions and what they are asked. Each has one stream; what it says
// is bounded, and belongs to who it is.
import { status } from '@grpc/grpc-js';
import type { Server } from '@grpc/grpc-js';
import { telemetry } from '@heddle/api';
import { type AccessDecision, type LoadContributor, type LoadTable, type ProcessFacts, serviceKey, type TrafficReport } from '@heddle/core';
import type { Clock, Logger } from '@heddle/runtime';
import type { Registry } from '../registry/registry.ts';
import { callerOf, noteRefusal } from '../server/access.ts';
import { hasRole } from '../server/caller.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError, statusOf } from '../server/status.ts';
import type { ReportedState } from '../xds-server/applied.ts';
import { type AttachCall, AttachedPlane } from './attached-plane.ts';
import { OPERATOR, ownServiceOf, type Speaker, type TrafficBook, UNKNOWN } from './traffic-book.ts';

/** One for each data plane. */
const STREAMS_MAX = 5_000;

export interface TelemetryServerOptions {
  readonly registry: Pick<Registry, 'service' | 'instancesOfNode'>;
  readonly book: TrafficBook;
  /** Shared with LRS. */
  readonly loads: LoadTable;
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often data planes are to report. */
  readonly intervalMs: number;
}

interface State {
  readonly plane: AttachedPlane;
  readonly speaker: Speaker;
  readonly contributor: LoadContributor;
  /** Requests under way as of the last report, by pair. */
  active: ReadonlyMap<string, number>;
  reported: ReportedState | undefined;
  process: ProcessFacts;
}

/** Who hears what is not kept here. */
export interface TelemetryListener {
  readonly onDecisions?: (plane: AttachedPlane, decisions: readonly AccessDecision[], lost: number) => void;
  readonly onExplainAnswer?: (plane: AttachedPlane, answer: telemetry.ExplainAnswer) => void;
  readonly onTap?: (plane: AttachedPlane, message: Extract<telemetry.FromDataPlane, { $case: 'tapRecords' | 'tapEnded' }>) => void;
  readonly onAttached?: (plane: AttachedPlane) => void;
  readonly onLeft?: (plane: AttachedPlane) => void;
}

export class TelemetryServer {
  readonly #options: TelemetryServerOptions;
  readonly #byKey = new Map<string, State>();
  readonly #listeners = new Set<TelemetryListener>();

  constructor(options: TelemetryServerOptions) {
    this.#options = options;
  }

  addTo(server: Server): void {
    server.addService(telemetry.TelemetryService, { attach: (call: AttachCall) => void this.#serve(call) });
  }

  listen(listener: TelemetryListener): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  /** Data planes that are attached. */
  *planes(): Iterable<AttachedPlane> {
    for (const { plane } of this.#byKey.values()) yield plane;
  }

  /** What the data plane itself says that it has; undefined where it does not say so. */
  reported(identity: string, node: string): ReportedState | undefined {
    return this.#byKey.get(keyOf(identity, node))?.reported;
  }

  /** About the process, as of its last report. */
  processOf(identity: string, node: string): ProcessFacts | undefined {
    return this.#byKey.get(keyOf(identity, node))?.process;
  }

  /** Never rejects. */
  async #serve(call: AttachCall): Promise<void> {
    const { streams, logger, clock } = this.#options;
    let state: State | undefined;
    let isOver = false;
    const fail = (error: object): void => {
      if (isOver) return;
      isOver = true;
      if (state === undefined) call.emit('error', error);
      else state.plane.fail(error);
    };
    streams.add(call, {
      fail,
      stop: () => {
        isOver = true;
        state?.plane.stop();
      },
    });
    try {
      // Not destroyed at the end of the requests: what is to be told may still go out.
      for await (const request of call.iterator({ destroyOnReturn: false }) as AsyncIterable<telemetry.ReadRequest>) {
        if (isOver) break;
        const message = checked(request);
        if (state === undefined) state = this.#join(call, message);
        else {
          state.plane.count(clock.nowMs());
          this.#take(state, message);
        }
      }
      // Through what writes to it, so that nothing which still waits is written behind the end.
      if (!isOver && state !== undefined) state.plane.end();
      else if (!isOver) call.end();
    } catch (error) {
      // A broken stream throws here too; then nobody is there to be told.
      if (!call.cancelled && !isOver) {
        const ended = statusOf(error, logger);
        noteRefusal(call, ended);
        logger.warn({ method: call.getPath(), peer: call.getPeer(), reason: ended.details }, 'stream ended by the control plane');
        fail(ended);
      }
    }
    isOver = true;
    if (state !== undefined) this.#leave(state);
  }

  #join(call: AttachCall, message: telemetry.FromDataPlane): State {
    if (message.$case !== 'hello') throw new CallError(status.INVALID_ARGUMENT, 'the first message must be `hello`');
    const { book, loads, clock, intervalMs } = this.#options;
    const hello = telemetry.readHello(message.value);
    const caller = callerOf(call.metadata);
    const plane = new AttachedPlane(call, caller, hello, clock.nowMs());
    const key = keyOf(plane.identity, plane.node);
    // A second stream is the same data plane, which came back.
    const before = this.#byKey.get(key);
    if (before !== undefined) this.#leave(before);
    if (this.#byKey.size >= STREAMS_MAX)
      throw new CallError(status.RESOURCE_EXHAUSTED, `${STREAMS_MAX} data planes are attached, the limit of one control plane`);
    const speaker = book.join(ownServiceOf(caller), hasRole(caller, 'operator'));
    const state: State = {
      ...{ plane, speaker, contributor: loads.join(plane.node), active: new Map<string, number>(), process: {} },
      reported: stateOf(hello.stateHash, clock),
    };
    this.#byKey.set(key, state);
    this.#noteHosted(state);
    plane.tell({ $case: 'instruction', value: { intervalMs } });
    for (const { onAttached } of this.#listeners) onAttached?.(plane);
    return state;
  }

  #leave(state: State): void {
    const { plane, speaker, contributor } = state;
    if (plane.hasLeft) return;
    plane.hasLeft = true;
    const key = keyOf(plane.identity, plane.node);
    if (this.#byKey.get(key) === state) this.#byKey.delete(key);
    this.#options.book.leave(speaker);
    this.#options.loads.leave(contributor);
    for (const { onLeft } of this.#listeners) onLeft?.(plane);
  }

  #take(state: State, message: telemetry.FromDataPlane): void {
    const { plane } = state;
    switch (message.$case) {
      case 'hello':
        throw new CallError(status.INVALID_ARGUMENT, '`hello` is the first message alone');
      case 'report':
        return this.#report(state, message.value);
      case 'decisions': {
        const { decisions, lost } = telemetry.readDecisions(message.value);
        const own = state.speaker.isOperator ? decisions : decisions.filter((decision) => isItsOwn(state, decision));
        for (const { onDecisions } of this.#listeners) onDecisions?.(plane, own, lost);
        return;
      }
      case 'explainAnswer':
        for (const { onExplainAnswer } of this.#listeners) onExplainAnswer?.(plane, message.value);
        return;
      default:
        for (const { onTap } of this.#listeners) onTap?.(plane, message);
    }
  }

  #report(state: State, message: Parameters<typeof telemetry.readReport>[0]): void {
    const { book, clock } = this.#options;
    const { stateHash, ...report } = telemetry.readReport(message);
    state.reported = stateOf(stateHash, clock) ?? state.reported;
    state.process = report.process;
    this.#noteHosted(state);
    book.report(state.speaker, report, clock.nowMs());
    this.#keepLoads(state, report);
  }

  /** What it hosts is reported by it, also while nothing of it calls anybody. */
  #noteHosted({ plane, speaker }: State): void {
    const { registry, book, clock } = this.#options;
    const nowMs = clock.nowMs();
    book.hosts(speaker, speaker.own, nowMs);
    if (!speaker.isOperator) return;
    for (const { service } of registry.instancesOfNode(plane.node)) book.hosts(speaker, serviceKey(service), nowMs);
  }

  /** The same as `LRS` has it: who calls whom now. */
  #keepLoads(state: State, { traffic, inProgress, intervalMs }: TrafficReport): void {
    const { loads, registry, clock } = this.#options;
    const { speaker, contributor } = state;
    const sourceOf = (source: string): string =>
      speaker.isOperator && (source === OPERATOR || registry.service(source) !== undefined) ? source : speaker.own;
    const pairs = new Map<string, { source: string; destination: string; ended: number; failed: number }>();
    const pairOf = (source: string, destination: string) => {
      const key = `${sourceOf(source)} ${destination}`;
      let pair = pairs.get(key);
      if (pair === undefined) pairs.set(key, (pair = { source: sourceOf(source), destination, ended: 0, failed: 0 }));
      return pair;
    };
    for (const { side, source, destination, requests, errors } of traffic) {
      if (side !== 'outbound') continue;
      const pair = pairOf(source, destination);
      pair.ended += requests;
      pair.failed += Object.values(errors).reduce((sum, count) => sum + count, 0);
    }
    const active = new Map<string, number>();
    for (const { source, destination, requests } of inProgress) {
      pairOf(source, destination);
      const key = `${sourceOf(source)} ${destination}`;
      active.set(key, (active.get(key) ?? 0) + requests);
    }
    for (const edge of contributor.edges.values()) pairOf(edge.source, edge.destination);
    const nowMs = Math.floor(clock.wallMs());
    for (const [key, { source, destination, ended, failed }] of pairs) {
      if (registry.service(destination) === undefined) continue;
      const [now, before] = [active.get(key) ?? 0, state.active.get(key) ?? 0];
      const issued = Math.max(0, ended + now - before);
      loads.report(
        contributor,
        { source, destination, issued, succeeded: ended - failed, failed, inProgress: now, dropped: 0, intervalMs },
        nowMs,
      );
    }
    state.active = active;
  }
}

function checked({ unreadable, message }: telemetry.ReadRequest): telemetry.FromDataPlane {
  if (unreadable !== undefined) throw new CallError(status.INVALID_ARGUMENT, `the message is not valid: ${unreadable}`);
  if (message === undefined) throw new CallError(status.INVALID_ARGUMENT, 'the message is empty');
  return message;
}

/** A workload tells what its service decided, and what its own calls were refused, which the policy of whom it calls decides. */
function isItsOwn({ plane, speaker }: State, { side, service, source }: AccessDecision): boolean {
  return side === 'inbound' ? service === speaker.own : source === plane.identity || source === UNKNOWN;
}

function stateOf(hash: string | undefined, clock: Clock): ReportedState | undefined {
  return hash === undefined ? undefined : { hash, ms: Math.floor(clock.wallMs()) };
}

function keyOf(identity: string, node: string): string {
  return `${identity} ${node}`;
}
