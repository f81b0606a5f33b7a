// What a real data plane has applied and carries, as both planes tell it: the hashes agree, the load arrives with its sources, and a data
// plane that is gone is told of.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ServiceError } from '@grpc/grpc-js';
import { type admin, controlTarget } from '@heddle/api';
import { AdminClient, controlChannelCredentials, controlChannelOptions, operatorMetadata } from '@heddle/api/grpc-js';
import type { RunningControl } from '@heddle/control';
import { controlPlaneId, formatSpiffeId } from '@heddle/core';
import type { RunningProxy } from '@heddle/proxy';
import {
  adminCall,
  application,
  call,
  Cleanup,
  connectedProxies,
  control,
  host,
  machine,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const LOAD_INTERVAL_MS = 400;

describe('what a data plane has applied and carries', () => {
  const cleanup = new Cleanup();
  let plane: RunningControl;
  let proxy: RunningProxy;
  let credential: string;
  let operator: AdminClient;

  before(async () => {
    plane = await control(cleanup, { reportIntervalMs: LOAD_INTERVAL_MS });
    proxy = await machine(cleanup, plane, { node: 'n1' });
    await host(proxy, plane, 'echo-1', (await application(cleanup, 'echo-1')).port);
    ({ proxyCredential: credential } = await host(proxy, plane, 'web-1', (await application(cleanup, 'web-1')).port, { uses: ['echo'] }));
    await untilReady(proxy);
    await untilEndpoints(proxy, 'echo', ['echo-1']);
    const expectedSpiffeId = formatSpiffeId(controlPlaneId(plane.trustDomain));
    const credentials = controlChannelCredentials({ rootsPem: plane.rootsPem, expectedSpiffeId });
    operator = new AdminClient(controlTarget(plane.address, plane.port), credentials, controlChannelOptions());
    cleanup.add(() => operator.close());
  });
  after(() => cleanup.run());

  const ask = <Request, Response>(
    method: (
      request: Request,
      metadata: ReturnType<typeof operatorMetadata>,
      done: (error: ServiceError | null, response: Response) => void,
    ) => unknown,
    request: Request,
  ): Promise<Response> =>
    new Promise((resolve, reject) => {
      method.call(operator, request, operatorMetadata(plane.operatorToken), (error, response) =>
        error === null ? resolve(response) : reject(error),
      );
    });
  const ownHash = async (): Promise<string> => ((await (await adminCall(proxy, 'GET', '/sync')).json()) as { stateHash: string }).stateHash;

  test('its own hash is the one that the control plane has of it, and reports say so, also after changes', async () => {
    const agreed = async (): Promise<string | undefined> => {
      const [listed] = await connectedProxies(plane);
      const own = await ownHash();
      return listed?.heldHash === own && listed.givenHash === own && listed.reportedHash === own ? own : undefined;
    };
    const before = await waitFor('the hashes to agree', agreed);
    assert.match(before, /^(?!0{16})[0-9a-f]{16}$/);
    await host(proxy, plane, 'echo-2', (await application(cleanup, 'echo-2')).port);
    await untilEndpoints(proxy, 'echo', ['echo-1', 'echo-2']);
    assert.notEqual(await waitFor('the hashes to agree again', agreed), before);
    assert.equal((await adminCall(proxy, 'GET', '/sync', undefined, 'wrong')).status, 401);
  });

  test('its load arrives with the service that calls, and calls of nobody in particular as its own', async () => {
    const reported = new Map<string, number>();
    await waitFor('the load of both sources', async () => {
      // In every interval, so that no report is without.
      await call({ url: 'http://echo.mesh.internal/', proxy: through(proxy) }, credential);
      await call({ url: 'http://echo.mesh.internal/', proxy: through(proxy) });
      const { loads } = await ask<admin.ListLoadRequest, admin.ListLoadResponse>(operator.listLoad, { node: 'n1' });
      for (const { source, destination, requestsPerSecond, errorsPerSecond, nodes } of loads) {
        assert.deepEqual([errorsPerSecond, nodes], [0, ['n1']]);
        if (requestsPerSecond > 0) reported.set(`${source} ${destination}`, requestsPerSecond);
      }
      return reported.size === 2;
    });
    assert.deepEqual([...reported.keys()].toSorted(), ['default/web default/echo', 'heddle-system/operator default/echo']);
  });

  test('when it is gone, so are its load and its place in the list, and that is an event', async () => {
    await proxy.stop();
    await waitFor('its end', async () => (await connectedProxies(plane)).length === 0);
    await waitFor(
      'its load to go',
      async () => (await ask<admin.ListLoadRequest, admin.ListLoadResponse>(operator.listLoad, { node: '' })).loads.length === 0,
    );
    const request = { subject: 'n1', kind: '', afterId: 0, limit: 0 };
    const { events } = await ask<admin.ListEventsRequest, admin.ListEventsResponse>(operator.listEvents, request);
    const told = events.map(({ kind, message }) => `${kind}: ${message}`);
    assert.match(told[0] ?? '', /^data-plane-connected: heddle.*, as spiffe:\/\/test\/ns\/heddle-system\/svc\/operator, by ADS delta$/);
    assert.match(told.at(-1) ?? '', /^data-plane-disconnected: its ADS delta stream ended$/);
  });
});
