import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Command, Option } from 'commander';
import {
  answersOption,
  dnsChoice,
  dnsForwardText,
  type DnsOptions,
  dnsPlace,
  dnsPort,
  forwardOption,
  refuseIdleOptions,
  ttlOption,
} from './dns-options.ts';

function parse(...args: readonly string[]): DnsOptions {
  const command = new Command().exitOverride().configureOutput({ outputError: () => {} });
  for (const option of [answersOption('virtual'), forwardOption(), ttlOption()]) command.addOption(option);
  return command.parse(args, { from: 'user' }).opts();
}

describe('the options of DNS', () => {
  it('have defaults', () => {
    assert.deepEqual(dnsChoice(parse(), '127.0.0.1', 15_053), {
      ...{ listen: { address: '127.0.0.1', port: 15_053 }, answers: 'virtual', forward: 'system', ttlSeconds: 5 },
    });
  });

  it('take addresses with and without a port, and are told to another process as they were given', () => {
    const { dnsForward } = parse('--dns-forward', '10.0.0.2, 10.0.0.3:5353,[fd00::1]:53');
    assert.deepEqual(dnsForward, [
      { address: '10.0.0.2', port: 53 },
      { address: '10.0.0.3', port: 5_353 },
      { address: 'fd00::1', port: 53 },
    ]);
    assert.deepEqual(parse('--dns-forward', dnsForwardText(dnsForward)).dnsForward, dnsForward);
    assert.equal(dnsForwardText('off'), 'off');
    assert.deepEqual(parse('--dns-forward', '2001:db8::1').dnsForward, [{ address: '2001:db8::1', port: 53 }]);
  });

  it('take times and places', () => {
    assert.deepEqual(
      ['7', '30s', '2m', '1h', '0s'].map((text) => parse('--dns-ttl', text).dnsTtl),
      [7, 30, 120, 3_600, 0],
    );
    assert.deepEqual(dnsPlace('[::1]:53'), { host: '::1', port: 53 });
    assert.equal(dnsPlace('off'), 'off');
    assert.deepEqual([dnsPort(0)('0'), dnsPort(1)('53'), dnsPort(0)('off')], [0, 53, 'off']);
  });

  it('say what is wrong with them', () => {
    assert.throws(() => parse('--dns-ttl', '2h'), /0s to 1h/);
    assert.throws(() => parse('--dns-forward', '1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4'), /at most 3/);
    assert.throws(() => parse('--dns-forward', 'resolver:53'), /IP address/);
    assert.throws(() => parse('--dns-forward', '10.0.0.1:0'), /addresses/);
    assert.throws(() => parse('--dns-answers', 'both'), /instances, virtual/);
    assert.throws(() => dnsPlace('localhost:53'), /IP address/);
    assert.throws(() => dnsPort(1)('0'), /1 to 65535/);
  });

  it('are refused where no names are served', () => {
    const run = (...args: readonly string[]): Command => {
      const command = new Command().exitOverride().configureOutput({ outputError: () => {} });
      for (const option of [answersOption('virtual'), forwardOption(), ttlOption()]) command.addOption(option);
      command.addOption(new Option('--dns-port <port>').argParser(dnsPort(0)).default('off'));
      return command
        .hook('preAction', refuseIdleOptions('dnsPort'))
        .action(() => {})
        .parse(args, { from: 'user' });
    };
    assert.throws(() => run('--dns-ttl', '3s'), /--dns-ttl has no effect.*--dns-port/);
    assert.throws(() => run('--dns-forward', 'off', '--dns-port', 'off'), /--dns-forward has no effect/);
    run();
    run('--dns-ttl', '3s', '--dns-port', '5353');
  });
});
