// The node driver fulfils the contract of the Network port on real sockets.
import { networkContract } from '../testing/network-contract.ts';
import { nodeNetwork } from './network.ts';

networkContract('node network', () => nodeNetwork);
