// Where calls of the application in this process begin: one for each workload and each listener for calls out.
import { ERRORS } from '@heddle/core';
import type { HttpService } from '../listener/http-service.ts';
import type { Context } from '../stack/context.ts';
import { errorAnswer } from '../stack/local-answer.ts';
import { OngoingCall } from './direct-call.ts';
import { DirectEnd } from './direct-end.ts';
import { directHead } from './request-head.ts';
import type { DirectCall, DirectCalls, DirectRequest, DirectUser } from './types.ts';

/** Ends that wait for their next call; more than are under way at once in a busy application only hold memory. */
const SPARE_MAX = 256;

export class WorkloadCalls implements DirectCalls {
  private readonly context: Context;
  private readonly workload: string;
  private readonly serviceOf: () => HttpService | undefined;
  private readonly limits: { readonly bufferBytesMax: number };
  private spare: DirectEnd[] = [];
  private service: HttpService | undefined;

  /** @param serviceOf what the listener's new connections get; undefined: it has not arrived. */
  constructor(context: Context, workload: string, serviceOf: () => HttpService | undefined) {
    this.context = context;
    this.workload = workload;
    this.serviceOf = serviceOf;
    this.limits = { bufferBytesMax: context.limits.connectionBufferBytesMax };
  }

  begin(request: DirectRequest, isComplete: boolean, user: DirectUser, soon: (run: () => void) => void): DirectCall {
    const head = directHead(request);
    const call = new OngoingCall(user, this.limits, soon);
    const service = this.serviceOf();
    if (service === undefined) this.refuse(call);
    else this.endFor(service).begin(call, head, isComplete);
    return call;
  }

  private endFor(service: HttpService): DirectEnd {
    if (service !== this.service) {
      this.service = service;
      this.spare = [];
    }
    return this.spare.pop() ?? new DirectEnd(this.context, service, this.workload, this.onFree);
  }

  private readonly onFree = (end: DirectEnd): void => {
    if (end.service === this.service && this.spare.length < SPARE_MAX) this.spare.push(end);
  };

  private refuse(call: OngoingCall): void {
    const { headers, contentType, body, status } = errorAnswer(
      'NO_HEALTHY_INSTANCE',
      'the configuration of this data plane has not arrived yet',
      ERRORS.NO_HEALTHY_INSTANCE.httpStatus,
    );
    call.headCame(status, [...headers.flat(), 'content-type', contentType], true);
    const bytes = Buffer.from(body, 'utf8');
    call.bodyCame(bytes, 0, bytes.length);
    call.endCame(undefined);
  }
}
