// What is carried to a service: requests, which have routes, or bytes, or both.
import type { Service } from '@heddle/core';

/** Whether there are requests to route. */
export function carriesHttp({ protocol }: Pick<Service, 'protocol'>): boolean {
  return protocol !== 'tcp' && protocol !== 'tls';
}

/** Whether connections are carried as they are. */
export function carriesBytes({ protocol }: Pick<Service, 'protocol'>): boolean {
  return protocol === 'tcp' || protocol === 'tls' || protocol === 'auto';
}
