// Requests at a constant arrival rate, whether or not the server keeps up: lists of tasks at RATE per second.
// `scripts/k6` raises the rate until it does not, which is the knee.

import { check } from 'k6';
import { SECONDS, STATS, must, proOrg, send, signIn, summary, unique } from './lib/api.js';

const RATE = Number(__ENV.RATE || 100);

export const options = {
  scenarios: {
    arrive: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: `${SECONDS}s`,
      preAllocatedVUs: 100,
      maxVUs: 400,
      gracefulStop: '5s',
    },
  },
  // No threshold on dropped or slow requests, because this run is to find them.
  thresholds: {
    'http_req_failed{scenario:arrive}': ['rate<0.5'],
    'http_req_duration{scenario:arrive}': ['max>=0'],
    'http_reqs{scenario:arrive}': ['count>0'],
    dropped_iterations: ['count>=0'],
  },
  summaryTrendStats: STATS,
  setupTimeout: '60s',
};

export function setup() {
  const token = signIn(`${unique('load')}@example.org`);
  const org = proOrg(token, 'Knee');
  const project = must(201, 'POST', `/orgs/${org}/projects`, token, { name: 'Is read' }).id;
  for (let number = 0; number < 100; number += 1) {
    must(201, 'POST', `/orgs/${org}/projects/${project}/tasks`, token, { title: `Task ${number}` });
  }
  return { token, path: `/orgs/${org}/projects/${project}/tasks?limit=20` };
}

export default function list({ token, path }) {
  const answer = send('GET', path, token, null, { name: 'list tasks' });
  check(answer, { 'twenty are listed': (got) => got.status === 200 });
}

export function handleSummary(data) {
  const written = summary('knee', data);
  for (const name of Object.keys(written)) {
    if (name !== 'stdout') {
      written[name] = JSON.stringify({ ...JSON.parse(written[name]), rate: RATE }, null, 1);
    }
  }
  return written;
}
