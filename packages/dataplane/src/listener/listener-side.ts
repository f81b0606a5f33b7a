// What decisions about access know of the listener: whom it stands for, and what an outside authorizer is told of the two sides of a connection.
import { parseSpiffeId, serviceKey } from '@heddle/core';
import type { SocketAddress } from '@heddle/core';
import type { Clock, Connection } from '@heddle/runtime';
import { Http2RequestHead } from '@heddle/wire';
import { AccessRecord } from '../stack/access-record.ts';
import type { AccessWorld } from '../stack/access-world.ts';
import type { HostAccess } from '../stack/access-table.ts';
import { Admission } from '../stack/admission.ts';
import type { AdmittingService } from '../stack/admission.ts';
import type { Context } from '../stack/context.ts';
import type { InboundAccess } from '../stack/inbound-access.ts';
import { errorAnswer } from '../stack/local-answer.ts';
import { HeadView } from '../stack/request-view.ts';

type Peers = ReturnType<AdmittingService['peersOf']>;

export class ListenerSide implements AdmittingService {
  readonly destination: string;
  readonly workloadName: string;
  readonly record: AccessRecord;
  private readonly own: SocketAddress & { readonly principal: string };

  constructor(
    context: Context,
    world: AccessWorld,
    direction: 'inbound' | 'outbound',
    destination: string,
    workloadName: string,
    own: SocketAddress & { readonly principal: string },
  ) {
    this.destination = destination;
    this.workloadName = workloadName;
    this.record = new AccessRecord(context, world.lines, direction, destination);
    this.own = own;
  }

  peersOf({ peerAddress, peerPort, sourceIdentity }: HeadView, { policy }: InboundAccess): Peers {
    const { destination, own } = this;
    const id = parseSpiffeId(sourceIdentity);
    const { labels } = policy ?? {};
    return {
      source: {
        address: peerAddress,
        port: peerPort,
        principal: sourceIdentity,
        service: id === undefined ? '' : serviceKey(id),
        labels: labels?.sources[sourceIdentity] ?? {},
      },
      destination: { ...own, service: destination, labels: labels?.destination ?? {} },
    };
  }
}

/** A stream by CONNECT as a request: nothing but that. */
const BYTES = new Http2RequestHead();
BYTES.method = 'CONNECT';

/** Who comes without a tunnel cannot be made to wait for an authorizer. @param host undefined: the bytes belong nowhere. */
export function admitsBytes(side: AdmittingService, clock: Clock, host: HostAccess | undefined, connection: Connection): boolean {
  if (host === undefined) return false;
  if (host.inbound === undefined) return true;
  const view = new HeadView(clock, connection, true);
  view.isStream = true;
  view.show(BYTES);
  const admission = new Admission(view, side);
  if (admission.decide(host.inbound, BYTES, undefined)) {
    admission.admitted();
    return true;
  }
  if (admission.question !== undefined)
    admission.refuse(
      errorAnswer('ACCESS_DENIED', ''),
      'authorizer',
      'an authorizer would have to be asked, which bytes without a tunnel do not wait for',
    );
  return false;
}
