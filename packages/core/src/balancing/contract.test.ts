// Every algorithm keeps the contract.
import { BALANCE_ALGORITHMS } from '../model/balance.ts';
import { balancerContract } from './balancer-contract.ts';

for (const algorithm of BALANCE_ALGORITHMS) balancerContract(algorithm);
