// Tells a handler what happens, by the methods of its kind: undici 7's and 8's, or undici 6's.
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { headersBytes, headersObject } from './response-headers.ts';
import type { Controller, DispatchHandler } from './types.ts';

const OK = 200;

export function isNewHandler(handler: DispatchHandler): boolean {
  return typeof handler.onRequestStart === 'function';
}

export function tellStart(handler: DispatchHandler, controller: Controller): void {
  if (isNewHandler(handler)) handler.onRequestStart!(controller, null);
  else handler.onConnect?.((reason) => controller.abort(reason), null);
}

export function tellHead(handler: DispatchHandler, controller: Controller, status: number, headers: readonly string[]): void {
  const text = STATUS_CODES[status] ?? '';
  if (isNewHandler(handler)) handler.onResponseStart?.(controller, status, headersObject(headers), text);
  else {
    const goesOn = handler.onHeaders?.(status, headersBytes(headers), () => controller.resume(), text) !== false;
    // Of a 1xx response there is nothing to hold back, and Node 24's fetch says false to it.
    if (!goesOn && status >= OK) controller.pause();
  }
}

export function tellData(handler: DispatchHandler, controller: Controller, bytes: Buffer): void {
  if (isNewHandler(handler)) handler.onResponseData?.(controller, bytes);
  else if (handler.onData?.(bytes) === false) controller.pause();
}

export function tellEnd(handler: DispatchHandler, controller: Controller, trailers: readonly string[] | undefined): void {
  if (isNewHandler(handler)) handler.onResponseEnd?.(controller, headersObject(trailers));
  else handler.onComplete?.(headersBytes(trailers));
}

export function tellUpgrade(
  handler: DispatchHandler,
  controller: Controller,
  { status, headers, socket }: { readonly status: number; readonly headers: readonly string[]; readonly socket: Duplex },
): void {
  if (typeof handler.onRequestUpgrade === 'function') handler.onRequestUpgrade(controller, status, headersObject(headers), socket);
  else if (typeof handler.onUpgrade === 'function') handler.onUpgrade(status, headersBytes(headers), socket);
  else throw new Error('the handler takes no upgrade');
}

/** A handler that cannot be told lets it be thrown, as undici does. */
export function tellError(handler: DispatchHandler, controller: Controller | null, error: Error): void {
  if (typeof handler.onResponseError === 'function') handler.onResponseError(controller, error);
  else if (typeof handler.onError === 'function') handler.onError(error);
  else throw error;
}
